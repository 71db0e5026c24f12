"""retention by data class

Revision: c5e0a1d97b34, after 8cb9bf2cf28b. Made 2026-11-22 19:20:11.402618.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "c5e0a1d97b34"
down_revision: str | Sequence[str] | None = "8cb9bf2cf28b"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


DROP_EXPIRED = """
create function drop_expired(message_log_days integer, meter_values_months integer) returns setof text
language plpgsql security definer set search_path = public, pg_temp set lock_timeout = '3s' as $$
declare
    parent text;
    name text;
    month_after timestamptz;
    cutoff timestamptz;
begin
    if message_log_days is null or meter_values_months is null or message_log_days < 1 or meter_values_months < 0 then
        raise exception 'keep the message log for a day or more, meter values for a month or more, or 0: for ever'
            using errcode = 'invalid_parameter_value';
    end if;
    perform pg_advisory_xact_lock(hashtext('ensure_partitions'));
    foreach parent in array array['message_log', 'meter_values'] loop
        cutoff := case parent
            when 'message_log' then now() - make_interval(days => message_log_days)
            else now() - make_interval(months => meter_values_months)
        end;
        continue when parent = 'meter_values' and meter_values_months = 0;
        for name, month_after in
            select c.relname, (to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month')::timestamp at time zone 'UTC'
            from pg_inherits i join pg_class c on c.oid = i.inhrelid
            where i.inhparent = parent::regclass and c.relname ~ ('^' || parent || '_p[0-9]{6}$')
            order by c.relname
        loop
            continue when month_after > cutoff or (parent = 'meter_values' and has_open_session(name));
            execute format('drop table %I', name);
            return next name;
        end loop;
    end loop;
    delete from message_log_pdefault where ctid in (
        select ctid from message_log_pdefault where at < now() - make_interval(days => message_log_days) limit 50000);
    if meter_values_months > 0 then
        delete from meter_values_pdefault where ctid in (
            select m.ctid from meter_values_pdefault m
            where m.received_at < now() - make_interval(months => meter_values_months) and not exists (
                select from transactions t where t.id = m.transaction_id
                    and (t.status = 'active' or t.held_reasons <> '{}'))
            limit 50000);
    end if;
end
$$
"""
"""Whole months in UTC. Rows in the default partition have implausible times: meter values there go by their arrival.

Runs with its owner's rights, because the restricted role may not drop tables: that role can shorten the memory, but
never below a day of frames and a month of meter values.
"""

HAS_OPEN_SESSION = """
create function has_open_session(partition text) returns boolean
language plpgsql set search_path = public, pg_temp as $$
declare
    found boolean;
begin
    execute format(
        'select exists (select from transactions t where (t.status = ''active'' or t.held_reasons <> ''{}'')
            and exists (select from %I m where m.transaction_id = t.id))', partition) into found;
    return found;
end
$$
"""
"""A session that is not rated yet, or that a person still has to judge, keeps its meter values."""


def upgrade() -> None:
    role = op.get_context().config.attributes["application_role"]  # type: ignore[union-attr]
    op.execute(HAS_OPEN_SESSION)
    op.execute(DROP_EXPIRED)
    op.execute("revoke execute on function has_open_session(text) from public")
    op.execute("revoke execute on function drop_expired(integer, integer) from public")
    op.execute(f'grant execute on function drop_expired(integer, integer) to "{role}"')


def downgrade() -> None:
    op.execute("drop function drop_expired(integer, integer)")
    op.execute("drop function has_open_session(text)")
