"""Which notices each person is mailed, and what a mail is about.

Revision: f6a2d84c17be, after e1a4c7d05b92.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "f6a2d84c17be"
down_revision: str | Sequence[str] | None = "c61d0f8e24b7"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    notices = sa.Column(
        "mail_notices",
        postgresql.ARRAY(sa.Text()),
        server_default=sa.text("'{security,held,payout,top_up,grant}'"),
        nullable=False,
        comment="which mails that may be switched off this person gets",
    )
    op.add_column("users", notices)
    kinds = "array['security', 'held', 'payout', 'top_up', 'grant', 'receipt']"
    op.create_check_constraint(op.f("ck_users_mail_notices"), "users", f"mail_notices <@ {kinds}")
    op.add_column("mails", sa.Column("about", sa.UUID(), nullable=True, comment="the charge point of a notice"))


def downgrade() -> None:
    op.drop_column("mails", "about")
    op.drop_column("users", "mail_notices")
