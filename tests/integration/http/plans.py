"""The plan that PostgreSQL keeps for a query, once a connection has run it a few times: for whatever values come."""

import asyncpg


async def kept_plan(connection: asyncpg.Connection, query: str, arguments: int) -> str:
    """As JSON. Its query must say of which types its arguments are, or leave no doubt."""
    nulls = ", ".join(["null"] * arguments)
    async with connection.transaction():
        await connection.execute("set local plan_cache_mode = force_generic_plan")
        await connection.execute(f"prepare kept as {query}")
        plan: str = await connection.fetchval(f"explain (format json) execute kept{f'({nulls})' if nulls else ''}")
        await connection.execute("deallocate kept")
    return plan
