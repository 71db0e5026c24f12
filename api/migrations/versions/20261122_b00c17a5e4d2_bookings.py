"""Bookings: a person's connector for a while, of which no two overlap; and what search needs of locations.

Revision: b00c17a5e4d2, after e1a4c7d05b92.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "b00c17a5e4d2"
down_revision: str | Sequence[str] | None = "f6a2d84c17be"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

STATUSES = "status in ('standing', 'used', 'cancelled', 'expired', 'faulted', 'unavailable', 'withdrawn')"
REFERENCES = {
    "charge_point_id": "charge_points",
    "owner_id": "users",
    "user_id": "users",
    "grant_id": "grants",
    "transaction_id": "transactions",
    "command_id": "commands",
    "release_command_id": "commands",
}
TELL = (
    """
create function tell_of_bookings() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' or old.status <> new.status then
        perform add_event('booking.changed', now(), new.charge_point_id, new.user_id, 'person',
            jsonb_build_object('booking_id', new.id, 'connector_id', new.connector_id, 'status', new.status,
                'starts_at', new.starts_at, 'ends_at', new.ends_at));
    end if;
    return null;
end
$$
""",
    """
create trigger tell_of_bookings after insert or update of status on bookings
    for each row execute function tell_of_bookings()
""",
)


def grant_rights() -> None:
    role = op.get_context().config.attributes["application_role"]  # type: ignore[union-attr]
    op.execute(f'grant select, insert, update on bookings to "{role}"')


def upgrade() -> None:
    op.execute("create extension if not exists btree_gist")
    op.create_table(
        "bookings",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("charge_point_id", sa.UUID(), nullable=False),
        sa.Column("connector_id", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("id_tag", sa.Text(), nullable=False),
        sa.Column("parent_tag", sa.Text(), nullable=True),
        sa.Column("grant_id", sa.UUID(), nullable=True, comment="null: the owner's own"),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), server_default="standing", nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("no_show_fee_minor", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("is_no_show", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("settled_minor", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("transaction_id", sa.BigInteger(), nullable=True),
        sa.Column("command_id", sa.UUID(), nullable=True, comment="the newest ReserveNow for it"),
        sa.Column("release_command_id", sa.UUID(), nullable=True, comment="the CancelReservation"),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("connector_id > 0", name=op.f("ck_bookings_connector_id")),
        sa.CheckConstraint(STATUSES, name=op.f("ck_bookings_status")),
        sa.CheckConstraint("no_show_fee_minor >= 0", name=op.f("ck_bookings_fee")),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_bookings_range")),
        sa.CheckConstraint("(status = 'standing') = (ended_at is null)", name=op.f("ck_bookings_ended")),
        sa.CheckConstraint("no_show_fee_minor = 0 or currency is not null", name=op.f("ck_bookings_money")),
        sa.CheckConstraint(
            "not is_no_show or status in ('expired', 'cancelled') and no_show_fee_minor > 0",
            name=op.f("ck_bookings_no_show"),
        ),
        *(
            sa.ForeignKeyConstraint([column], [f"{table}.id"], name=op.f(f"fk_bookings_{column}"))
            for column, table in REFERENCES.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bookings")),
        sa.UniqueConstraint("command_id", name=op.f("uq_bookings_command_id")),
        postgresql.ExcludeConstraint(
            ("charge_point_id", "="),
            ("connector_id", "="),
            (sa.text("tstzrange(starts_at, ends_at)"), "&&"),
            where=sa.text("status = 'standing'"),
            using="gist",
            name="ex_bookings_connector",
        ),
        comment="A person's connector for a while, of which no two overlap; ReserveNow tells the charge point where it "
        "can. The fee is that of the tariff in force at starts_at, frozen; settled_minor is what of it stands in the "
        "ledger.",
    )
    op.create_index("ix_bookings_charge_point_id_starts_at", "bookings", ["charge_point_id", "starts_at"])
    op.create_index("ix_bookings_user_id_created_at", "bookings", ["user_id", "created_at"])
    op.create_index("ix_bookings_standing", "bookings", ["starts_at"], postgresql_where=sa.text("status = 'standing'"))
    op.create_index(
        "ix_bookings_to_settle",
        "bookings",
        ["ended_at"],
        postgresql_where=sa.text("settled_minor <> case when is_no_show then no_show_fee_minor else 0 end"),
    )
    op.create_index(
        "ix_locations_point",
        "locations",
        [sa.text("point(longitude::double precision, latitude::double precision)")],
        postgresql_using="gist",
        postgresql_where=sa.text("deleted_at is null"),
    )
    for statement in TELL:
        op.execute(statement)
    grant_rights()


def downgrade() -> None:
    op.drop_index("ix_locations_point", "locations")
    op.drop_table("bookings")
    op.execute("drop function tell_of_bookings()")
    op.execute("drop extension btree_gist")
