"""accounts: mails and the secrets that they bring, the audit log, erasure, learned cards

Revision: e1a4c7d05b92, after a7d3e9b1c504.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "e1a4c7d05b92"
down_revision: str | Sequence[str] | None = "e4c81b6f2a90"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

READ_AND_WRITE = ("mails", "email_tokens", "learning_windows")
READ_AND_ADD = ("audit_log",)


def grant_rights() -> None:
    role = op.get_context().config.attributes["application_role"]  # type: ignore[union-attr]
    op.execute(f'grant select, insert, update, delete on {", ".join(READ_AND_WRITE)} to "{role}"')
    op.execute(f'grant select, insert on {", ".join(READ_AND_ADD)} to "{role}"')
    op.execute(f'grant usage on sequence audit_log_id_seq to "{role}"')
    op.execute(f'grant update (id_tag) on transaction_stops to "{role}"')


def make_audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_id", sa.UUID(), nullable=True, comment="null: the command line"),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.UUID(), nullable=True, comment="of what the action names"),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name=op.f("fk_audit_log_actor_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
        comment="Who did what, by opaque ids. The restricted role may only read and add.",
    )
    op.create_index("ix_audit_log_actor_id_id", "audit_log", ["actor_id", "id"])
    op.create_index("ix_audit_log_subject_id_id", "audit_log", ["subject_id", "id"])


def make_learning_windows() -> None:
    op.create_table(
        "learning_windows",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("charge_point_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("label", sa.Text(), server_default="", nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id_tag_id", sa.UUID(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["charge_point_id"], ["charge_points.id"], name=op.f("fk_learning_windows_charge_point_id")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_learning_windows_user_id")),
        sa.ForeignKeyConstraint(
            ["id_tag_id"], ["id_tags.id"], name=op.f("fk_learning_windows_id_tag_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_learning_windows")),
        comment="While one is open, the next unknown card at the charge point becomes a card of this user.",
    )
    op.create_index(op.f("ix_learning_windows_user_id"), "learning_windows", ["user_id"])
    op.create_index(op.f("ix_learning_windows_id_tag_id"), "learning_windows", ["id_tag_id"])
    op.create_index(
        "uq_learning_windows_open",
        "learning_windows",
        ["charge_point_id"],
        unique=True,
        postgresql_where=sa.text("closed_at is null"),
    )


def make_mails() -> None:
    op.create_table(
        "mails",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), server_default="queued", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status in ('queued', 'sent', 'failed')", name=op.f("ck_mails_status")),
        sa.CheckConstraint("(status = 'queued') = (body is not null)", name=op.f("ck_mails_body_until_sent")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_mails_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mails")),
        comment="The outbox. The body may hold a secret link, so it goes as soon as the mail is sent or given up.",
    )
    op.create_index(op.f("ix_mails_user_id"), "mails", ["user_id"])
    op.create_index("ix_mails_due", "mails", ["next_attempt_at"], postgresql_where=sa.text("status = 'queued'"))


def make_email_tokens() -> None:
    op.create_table(
        "email_tokens",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=True),
        sa.Column("registration", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("purpose in ('verify', 'reset', 'change_email')", name=op.f("ck_email_tokens_purpose")),
        sa.CheckConstraint("email = lower(email)", name=op.f("ck_email_tokens_email_lower")),
        sa.CheckConstraint("(purpose = 'verify') = (user_id is null)", name=op.f("ck_email_tokens_account")),
        sa.CheckConstraint(
            "(purpose = 'verify') = (registration is not null)", name=op.f("ck_email_tokens_registration")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_email_tokens_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_email_tokens_digest")),
        comment="SHA-256 of each secret that a mail brought and that counts still; using it removes it. registration: the account that is made by it, its password as a hash.",
    )
    op.create_index(op.f("ix_email_tokens_email"), "email_tokens", ["email"])
    op.create_index(op.f("ix_email_tokens_user_id"), "email_tokens", ["user_id"])


def upgrade() -> None:
    op.add_column("users", sa.Column("email_verified_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("users", sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(
        op.f("ck_users_erased_is_disabled"), "users", "erased_at is null or disabled_at is not null"
    )
    op.add_column(
        "id_tags", sa.Column("concurrency_limit", sa.SmallInteger(), server_default=sa.text("1"), nullable=False)
    )
    op.create_check_constraint(op.f("ck_id_tags_concurrency_limit"), "id_tags", "concurrency_limit between 1 and 100")
    make_learning_windows()
    make_audit_log()
    make_mails()
    make_email_tokens()
    grant_rights()


def downgrade() -> None:
    op.drop_table("email_tokens")
    op.drop_table("mails")
    op.drop_table("learning_windows")
    op.drop_constraint(op.f("ck_id_tags_concurrency_limit"), "id_tags")
    op.drop_column("id_tags", "concurrency_limit")
    op.drop_table("audit_log")
    op.drop_constraint(op.f("ck_users_erased_is_disabled"), "users")
    op.drop_column("users", "erased_at")
    op.drop_column("users", "email_verified_at")
    role = op.get_context().config.attributes["application_role"]  # type: ignore[union-attr]
    op.execute(f'revoke update (id_tag) on transaction_stops from "{role}"')
