"""accounts: mails, and the secrets that they bring

Revision: e1a4c7d05b92, after a7d3e9b1c504.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "e1a4c7d05b92"
down_revision: str | Sequence[str] | None = "a7d3e9b1c504"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

READ_AND_WRITE = ("mails", "email_tokens")


def grant_rights() -> None:
    role = op.get_context().config.attributes["application_role"]  # type: ignore[union-attr]
    op.execute(f'grant select, insert, update, delete on {", ".join(READ_AND_WRITE)} to "{role}"')


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
    make_mails()
    make_email_tokens()
    grant_rights()


def downgrade() -> None:
    op.drop_table("email_tokens")
    op.drop_table("mails")
    op.drop_column("users", "email_verified_at")
