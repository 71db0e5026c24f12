"""What a release may count on in its database, read from the catalogue. What must be kept of it is the test's.

At a release: `python -m tests.contract.released_schema OWNERS_URL RESTRICTED_ROLE >tests/contract/schema_v1.json`
"""

import asyncio
import json
import sys
from typing import Any

import asyncpg

COLUMNS = """
select c.relname as table, a.attname as column, format_type(a.atttypid, a.atttypmod) as type,
    not a.attnotnull as nullable, a.atthasdef or a.attidentity <> '' as has_default
from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
order by c.relname, a.attname
"""
CONSTRAINTS = """
select c.relname as table, r.conname as name, pg_get_constraintdef(r.oid) as definition, array(
        select attname::text from pg_attribute where attrelid = c.oid and attnum = any(r.conkey) order by 1
    ) as columns
from pg_constraint r join pg_class c on c.oid = r.conrelid
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
    and r.contype in ('c', 'u', 'p', 'f', 'x')
order by c.relname, r.conname
"""
PRIVILEGES = """
select table_name as table, array_agg(privilege_type::text order by privilege_type) as privileges
from information_schema.role_table_grants
where grantee = $1 and table_schema = 'public' and table_name not similar to '(message_log|meter_values)_p%'
group by table_name order by table_name
"""
FUNCTIONS = """
select p.oid::regprocedure::text as signature from pg_proc p
where p.pronamespace = 'public'::regnamespace and has_function_privilege($1, p.oid, 'execute') order by 1
"""


async def read_schema(owner: str, role: str) -> dict[str, Any]:
    """Tables, constraints, and what the restricted role may do."""
    connection = await asyncpg.connect(owner)
    try:
        columns = await connection.fetch(COLUMNS)
        constraints = await connection.fetch(CONSTRAINTS)
        privileges = await connection.fetch(PRIVILEGES, role)
        functions = await connection.fetch(FUNCTIONS, role)
        revision = await connection.fetchval("select version_num from alembic_version")
    finally:
        await connection.close()
    return {
        "revision": revision,
        "columns": {f"{row['table']}.{row['column']}": dict(list(row.items())[2:]) for row in columns},
        "constraints": {f"{row['table']}.{row['name']}": dict(list(row.items())[2:]) for row in constraints},
        "privileges": {row["table"]: row["privileges"] for row in privileges},
        "functions": [row["signature"] for row in functions],
    }


def as_text(schema: dict[str, Any]) -> str:
    """JSON with a line an entry, so that two of them can be compared by eye."""
    parts = []
    for name, section in schema.items():
        entries = section.items() if isinstance(section, dict) else ()
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in entries)
        parts.append(f" {json.dumps(name)}: " + (f"{{\n{lines}\n }}" if lines else json.dumps(section)))
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    sys.stdout.write(as_text(asyncio.run(read_schema(sys.argv[1], sys.argv[2]))))
