"""Locations, connectors' specs, groups, grants as designed, hand-over; the owner of a transaction is frozen.

Revision: e2b7c4f81a90, after a7d3e9b1c504.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "e2b7c4f81a90"
down_revision: str | Sequence[str] | None = "a7d3e9b1c504"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

READ_AND_WRITE = ("locations", "connector_specs", "groups", "group_members", "handovers")

FREEZE_OWNER = """
create function freeze_owner() returns trigger language plpgsql as $$
begin
    if new.owner_id is null then
        select coalesce((
            select h.offered_by from handovers h
            where h.charge_point_id = c.id and h.status = 'accepted' and h.ended_at > new.started_at
                and new.started_at >= c.created_at
            order by h.ended_at limit 1), c.owner_id)
        into new.owner_id from charge_points c where c.id = new.charge_point_id;
    end if;
    return new;
end
$$
"""
"""Of a session that arrives after a hand-over, who owned the charge point when it began; a clock that was reset shows a
time from before the charge point was brought in, and is not believed."""

UPGRADE = (
    """
create table locations (
    id uuid not null default gen_random_uuid() constraint pk_locations primary key,
    owner_id uuid not null constraint fk_locations_owner_id references users (id),
    name text not null,
    address text not null,
    postal_code text not null default '',
    city text not null,
    country varchar(3) not null constraint ck_locations_country check (country ~ '^[A-Z]{3}$'),
    latitude numeric(9, 7) constraint ck_locations_latitude check (latitude between -90 and 90),
    longitude numeric(10, 7) constraint ck_locations_longitude check (longitude between -180 and 180),
    opening_times jsonb,
    time_zone text not null default 'Europe/Prague',
    deleted_at timestamptz,
    created_at timestamptz not null default now(),
    constraint ck_locations_coordinates check ((latitude is null) = (longitude is null)),
    constraint uq_locations_id_owner_id unique (id, owner_id)
)
""",
    "create index ix_locations_owner_id on locations (owner_id)",
    """
comment on table locations is
'Where charge points stand; OCPI 2.2.1 terms: country is ISO 3166-1 alpha-3, opening_times is Hours.'
""",
    """
alter table charge_points
    add column location_id uuid,
    add column visibility text not null default 'shared'
        constraint ck_charge_points_visibility check (visibility in ('private', 'shared', 'public')),
    add constraint fk_charge_points_location_id foreign key (location_id, owner_id) references locations (id, owner_id)
""",
    "create index ix_charge_points_location_id on charge_points (location_id)",
    """
create table connector_specs (
    charge_point_id uuid not null constraint fk_connector_specs_charge_point_id references charge_points (id),
    connector_id integer not null constraint ck_connector_specs_connector_id check (connector_id > 0),
    standard text not null,
    format text not null constraint ck_connector_specs_format check (format in ('SOCKET', 'CABLE')),
    power_type text not null constraint ck_connector_specs_power_type
        check (power_type in ('AC_1_PHASE', 'AC_2_PHASE', 'AC_2_PHASE_SPLIT', 'AC_3_PHASE', 'DC')),
    max_power_w integer constraint ck_connector_specs_max_power_w check (max_power_w > 0),
    constraint pk_connector_specs primary key (charge_point_id, connector_id)
)
""",
    """
comment on table connector_specs is
'What each connector is, as its owner says it (OCPI 2.2.1 ConnectorType, ConnectorFormat, PowerType).'
""",
    """
create table groups (
    id uuid not null default gen_random_uuid() constraint pk_groups primary key,
    owner_id uuid not null constraint fk_groups_owner_id references users (id),
    name text not null,
    deleted_at timestamptz,
    created_at timestamptz not null default now()
)
""",
    "create index ix_groups_owner_id on groups (owner_id)",
    """
comment on table groups is 'People with whom an owner shares as one, such as a family; seen by its owner only.'
""",
    """
create table group_members (
    group_id uuid not null constraint fk_group_members_group_id references groups (id),
    user_id uuid not null constraint fk_group_members_user_id references users (id),
    created_at timestamptz not null default now(),
    constraint pk_group_members primary key (group_id, user_id)
)
""",
    "create index ix_group_members_user_id on group_members (user_id)",
    """
alter table grants
    alter column charge_point_id drop not null,
    alter column user_id drop not null,
    add column series_id uuid not null default gen_random_uuid(),
    add column connector_id integer constraint ck_grants_connector_id check (connector_id > 0),
    add column location_id uuid constraint fk_grants_location_id references locations (id),
    add column audience text not null default 'person'
        constraint ck_grants_audience check (audience in ('person', 'invitation', 'group', 'public')),
    add column invited_email text constraint ck_grants_email_lower check (invited_email = lower(invited_email)),
    add column group_id uuid constraint fk_grants_group_id references groups (id),
    add column priority smallint not null default 0,
    add column windows jsonb not null default '[]',
    add column max_energy_wh bigint constraint ck_grants_max_energy_wh check (max_energy_wh > 0),
    add column max_amount_minor bigint constraint ck_grants_max_amount_minor check (max_amount_minor > 0),
    add column currency varchar(3),
    add column max_sessions smallint constraint ck_grants_max_sessions check (max_sessions > 0),
    add column cap_period text not null default 'validity'
        constraint ck_grants_cap_period check (cap_period in ('validity', 'month')),
    add constraint ck_grants_place check (num_nonnulls(charge_point_id, location_id) = 1),
    add constraint ck_grants_connector_of check (connector_id is null or charge_point_id is not null),
    add constraint ck_grants_person check ((audience = 'person') = (user_id is not null)),
    add constraint ck_grants_invitation check ((audience = 'invitation') = (invited_email is not null)),
    add constraint ck_grants_group check ((audience = 'group') = (group_id is not null)),
    add constraint ck_grants_money check ((max_amount_minor is null) = (currency is null))
""",
    "create index ix_grants_series_id on grants (series_id)",
    "create index ix_grants_location_id on grants (location_id)",
    "create index ix_grants_group_id on grants (group_id)",
    "create index ix_grants_invited_email on grants (invited_email) where invited_email is not null",
    """
comment on table grants is
'Who else than the owner may charge, where and when. A row a version of its series: terms never change.'
""",
    """
create table handovers (
    id uuid not null default gen_random_uuid() constraint pk_handovers primary key,
    charge_point_id uuid not null constraint fk_handovers_charge_point_id references charge_points (id),
    offered_by uuid not null constraint fk_handovers_offered_by references users (id),
    email text not null constraint ck_handovers_email_lower check (email = lower(email)),
    expires_at timestamptz not null,
    status text not null default 'offered'
        constraint ck_handovers_status check (status in ('offered', 'accepted', 'declined', 'withdrawn')),
    accepted_by uuid constraint fk_handovers_accepted_by references users (id),
    ended_at timestamptz,
    created_at timestamptz not null default now()
)
""",
    "create index ix_handovers_email on handovers (email)",
    "create unique index uq_handovers_offered on handovers (charge_point_id) where status = 'offered'",
    "comment on table handovers is 'Offers of a charge point to a new owner; one open offer each.'",
    """
alter table transactions
    add column owner_id uuid constraint fk_transactions_owner_id references users (id),
    add column grant_id uuid constraint fk_transactions_grant_id references grants (id)
""",
    """
update transactions t set owner_id = c.owner_id from charge_points c where c.id = t.charge_point_id
""",
    "alter table transactions alter column owner_id set not null",
    "comment on column transactions.owner_id is 'of the charge point at the start; a trigger'",
    "comment on column transactions.grant_id is 'by which the driver charged; null: the owner, or refused'",
    "create index ix_transactions_owner_id_started_at on transactions (owner_id, started_at)",
    """
create index ix_transactions_grant_id_driver_id on transactions (grant_id, driver_id) where grant_id is not null
""",
    FREEZE_OWNER,
    "create trigger freeze_owner before insert on transactions for each row execute function freeze_owner()",
)

DOWNGRADE = (
    "drop trigger freeze_owner on transactions",
    "drop function freeze_owner()",
    "alter table transactions drop column grant_id, drop column owner_id",
    "drop table handovers",
    "delete from grants where charge_point_id is null or user_id is null",
    """
alter table grants
    drop column series_id, drop column connector_id, drop column location_id, drop column audience,
    drop column invited_email, drop column group_id, drop column priority, drop column windows,
    drop column max_energy_wh, drop column max_amount_minor, drop column currency, drop column max_sessions,
    drop column cap_period, alter column charge_point_id set not null, alter column user_id set not null
""",
    "comment on table grants is 'Who else than its owner may charge at a charge point.'",
    "drop table group_members",
    "drop table groups",
    "drop table connector_specs",
    "alter table charge_points drop column location_id, drop column visibility",
    "drop table locations",
)


def upgrade() -> None:
    for statement in UPGRADE:
        op.execute(statement)
    role = op.get_context().config.attributes["application_role"]  # type: ignore[union-attr]
    op.execute(f'grant select, insert, update, delete on {", ".join(READ_AND_WRITE)} to "{role}"')


def downgrade() -> None:
    for statement in DOWNGRADE:
        op.execute(statement)
