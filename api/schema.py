"""Every table of Voltuj, and nothing else: no queries, no rules. Alembic compares the database against this file.

Energy is in Wh, power in W, money in minor units of its currency, unit prices in 10^-4 currency units; times are
timestamptz. `api/migrations` makes the partitions and gives the restricted role its rights.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Sequence,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID, ExcludeConstraint

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

PARTITIONED: Final = ("meter_values", "message_log")
"""Tables whose monthly partitions `ensure_partitions()` makes; Alembic does not look at the partitions."""

NOW = text("now()")
TIMESTAMP = DateTime(timezone=True)


def _uuid_key() -> Column[object]:
    return Column("id", UUID(as_uuid=True), primary_key=True, server_default=text("gen_random_uuid()"))


def _created_at() -> Column[object]:
    return Column("created_at", TIMESTAMP, nullable=False, server_default=NOW)


connection_epochs = Sequence("connection_epochs", metadata=metadata)
"""Every accepted connection draws one: the newest authenticated connection of a charge point wins (DESIGN, Epochs)."""

installation = Table(
    "installation",
    metadata,
    Column("id", SmallInteger, CheckConstraint("id = 1", name="one_row"), primary_key=True, autoincrement=False),
    Column("transaction_id_key", LargeBinary, nullable=False),
    _created_at(),
    comment="One row. transaction_id_key keys the permutation of OCPP transaction ids and is never rotated.",
)

# --- identity -------------------------------------------------------------------------------------------------------

users = Table(
    "users",
    metadata,
    _uuid_key(),
    Column("email", Text, CheckConstraint("email = lower(email)", name="email_lower"), nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("display_name", Text, nullable=False, server_default=""),
    Column("role", Text, CheckConstraint("role in ('user', 'operator')", name="role"), nullable=False,
           server_default="user"),
    Column("language", String(5), nullable=False, server_default="en"),
    Column("email_verified_at", TIMESTAMP),
    Column("disabled_at", TIMESTAMP),
    Column("erased_at", TIMESTAMP),
    Column("mail_notices", ARRAY(Text), nullable=False,
           server_default=text("'{security,held,payout,top_up,grant}'"),
           comment="which mails that may be switched off this person gets"),
    _created_at(),
    CheckConstraint("erased_at is null or disabled_at is not null", name="erased_is_disabled"),
    CheckConstraint("mail_notices <@ array['security', 'held', 'payout', 'top_up', 'grant', 'receipt']",
                    name="mail_notices"),
)  # fmt: skip

sessions = Table(
    "sessions",
    metadata,
    _uuid_key(),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("user_agent", Text, nullable=False, server_default=""),
    Column("revoked_at", TIMESTAMP),
    Column("last_used_at", TIMESTAMP, nullable=False, server_default=NOW),
    _created_at(),
    comment="One log-in: the family of its refresh tokens. Revoking it ends its access tokens too.",
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("session_id", ForeignKey("sessions.id"), nullable=False, index=True),
    Column("expires_at", TIMESTAMP, nullable=False),
    Column("used_at", TIMESTAMP),
    _created_at(),
    comment="SHA-256 of each refresh token ever given out; one that is used twice revokes its session.",
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("user_id", ForeignKey("users.id"), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("request_digest", LargeBinary, nullable=False),
    Column("response_status", SmallInteger),
    Column("response_body", JSONB),
    _created_at(),
)

id_tags = Table(
    "id_tags",
    metadata,
    _uuid_key(),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("tag", String(20), CheckConstraint("tag = upper(tag)", name="tag_upper"), nullable=False, unique=True),
    Column("parent_tag", String(20)),
    Column("kind", Text, CheckConstraint("kind in ('card', 'app')", name="kind"), nullable=False),
    Column("label", Text, nullable=False, server_default=""),
    Column("blocked", Boolean, nullable=False, server_default=text("false")),
    Column(
        "concurrency_limit",
        SmallInteger,
        CheckConstraint("concurrency_limit between 1 and 100", name="concurrency_limit"),
        nullable=False,
        server_default=text("1"),
    ),
    Column("expires_at", TIMESTAMP),
    _created_at(),
    comment="OCPP idTags are case-insensitive: stored in upper case.",
)

# --- locations ------------------------------------------------------------------------------------------------------

locations = Table(
    "locations",
    metadata,
    _uuid_key(),
    Column("owner_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("postal_code", Text, nullable=False, server_default=""),
    Column("city", Text, nullable=False),
    Column("country", String(3), CheckConstraint("country ~ '^[A-Z]{3}$'", name="country"), nullable=False),
    Column("latitude", Numeric(9, 7), CheckConstraint("latitude between -90 and 90", name="latitude")),
    Column("longitude", Numeric(10, 7), CheckConstraint("longitude between -180 and 180", name="longitude")),
    Column("opening_times", JSONB),
    Column("time_zone", Text, nullable=False, server_default="Europe/Prague"),
    Column("deleted_at", TIMESTAMP),
    _created_at(),
    CheckConstraint("(latitude is null) = (longitude is null)", name="coordinates"),
    UniqueConstraint("id", "owner_id"),
    Index("ix_locations_point", text("point(longitude::double precision, latitude::double precision)"),
          postgresql_using="gist", postgresql_where=text("deleted_at is null")),
    comment="Where charge points stand; OCPI 2.2.1 terms: country is ISO 3166-1 alpha-3, opening_times is Hours.",
)  # fmt: skip

email_tokens = Table(
    "email_tokens",
    metadata,
    _uuid_key(),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("purpose", Text, CheckConstraint("purpose in ('verify', 'reset', 'change_email')", name="purpose"),
           nullable=False),
    Column("email", Text, CheckConstraint("email = lower(email)", name="email_lower"), nullable=False, index=True),
    Column("user_id", ForeignKey("users.id"), index=True),
    Column("registration", JSONB),
    Column("expires_at", TIMESTAMP, nullable=False),
    _created_at(),
    CheckConstraint("(purpose = 'verify') = (user_id is null)", name="account"),
    CheckConstraint("(purpose = 'verify') = (registration is not null)", name="registration"),
    comment="SHA-256 of each secret that a mail brought and that counts still; using it removes it. registration: the "
    "account that is made by it, its password as a hash.",
)  # fmt: skip

mails = Table(
    "mails",
    metadata,
    _uuid_key(),
    Column("user_id", ForeignKey("users.id"), index=True),
    Column("kind", Text, nullable=False),
    Column("about", UUID(as_uuid=True), comment="the charge point of a notice"),
    Column("recipient", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("body", Text),
    Column("status", Text, CheckConstraint("status in ('queued', 'sent', 'failed')", name="status"), nullable=False,
           server_default="queued"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_attempt_at", TIMESTAMP, nullable=False, server_default=NOW),
    Column("last_error", Text),
    Column("finished_at", TIMESTAMP),
    _created_at(),
    CheckConstraint("(status = 'queued') = (body is not null)", name="body_until_sent"),
    Index("ix_mails_due", "next_attempt_at", postgresql_where=text("status = 'queued'")),
    comment="The outbox. The body may hold a secret link, so it goes as soon as the mail is sent or given up.",
)  # fmt: skip

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", TIMESTAMP, nullable=False),
    Column("actor_id", ForeignKey("users.id"), comment="null: the command line"),
    Column("action", Text, nullable=False),
    Column("subject_id", UUID(as_uuid=True), comment="of what the action names"),
    Column("details", JSONB, nullable=False, server_default=text("'{}'")),
    Index("ix_audit_log_actor_id_id", "actor_id", "id"),
    Index("ix_audit_log_subject_id_id", "subject_id", "id"),
    comment="Who did what, by opaque ids. The restricted role may only read and add.",
)

# --- charge points --------------------------------------------------------------------------------------------------

REGISTRATIONS = "('Accepted', 'Pending', 'Rejected')"

charge_points = Table(
    "charge_points",
    metadata,
    _uuid_key(),
    Column("owner_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("identity", String(48), nullable=False),
    Column("name", Text, nullable=False, server_default=""),
    Column("key_digest", LargeBinary, nullable=False),
    Column("key_changed_at", TIMESTAMP, nullable=False, server_default=NOW),
    # of a key that the charge point was told and has not confirmed: it may use either
    Column("next_key_digest", LargeBinary),
    Column("security_profile", SmallInteger, CheckConstraint("security_profile between 0 and 3", name="profile"),
           nullable=False, server_default=text("1")),
    # accepted by the charge point and not used yet: until then it may fall back (WP A05)
    Column("next_security_profile", SmallInteger),
    Column("quirks", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("time_zone", Text, nullable=False, server_default="Europe/Prague"),
    Column("location_id", UUID(as_uuid=True), index=True),
    Column("visibility", Text, CheckConstraint("visibility in ('private', 'shared', 'public')", name="visibility"),
           nullable=False, server_default="shared"),
    Column("rated_power_w", Integer),
    Column("heartbeat_interval_s", Integer, CheckConstraint("heartbeat_interval_s > 0", name="heartbeat"),
           nullable=False, server_default=text("300")),
    # what the next BootNotification is answered, and what the last one was; null before the first
    Column("admission", Text, CheckConstraint(f"admission in {REGISTRATIONS}", name="admission"), nullable=False,
           server_default="Accepted"),
    Column("registration", Text, CheckConstraint(f"registration in {REGISTRATIONS}", name="registration")),
    Column("boot_epoch", BigInteger, nullable=False, server_default=text("0")),
    Column("boot_sequence", BigInteger, nullable=False, server_default=text("0")),
    Column("boot_count", Integer, nullable=False, server_default=text("0")),
    Column("booted_at", TIMESTAMP),
    Column("boot", JSONB, nullable=False, server_default=text("'{}'")),
    Column("connection_epoch", BigInteger, nullable=False, server_default=text("0")),
    Column("connected_at", TIMESTAMP),
    Column("disconnected_at", TIMESTAMP),
    Column("auto_configuration", Boolean, nullable=False, server_default=text("false")),
    Column("status_requested_boot", Integer, nullable=False, server_default=text("0")),
    Column("deleted_at", TIMESTAMP),
    _created_at(),
    Index("ix_charge_points_created_at_id", "created_at", "id"),
    Index("uq_charge_points_identity", "identity", unique=True, postgresql_where=text("deleted_at is null")),
    # nobody's charge point stands at a location of somebody else's: its grants would open it
    ForeignKeyConstraint(["location_id", "owner_id"], ["locations.id", "locations.owner_id"],
                         name="fk_charge_points_location_id"),
    comment="boot is the payload of the newest BootNotification. status_requested_boot is the boot_count for which "
    "StatusNotification was triggered. A deleted wallbox keeps its row for its transactions.",
)  # fmt: skip

connectors = Table(
    "connectors",
    metadata,
    Column("charge_point_id", ForeignKey("charge_points.id"), primary_key=True),
    Column("connector_id", Integer, primary_key=True, autoincrement=False),
    Column("status", Text, nullable=False),
    Column("error_code", Text, nullable=False),
    Column("info", Text),
    Column("vendor_id", Text),
    Column("vendor_error_code", Text),
    Column("status_at", TIMESTAMP, nullable=False),
    Column("received_at", TIMESTAMP, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    comment="The newest StatusNotification of each connector; 0 is the charge point as a whole.",
)

connector_specs = Table(
    "connector_specs",
    metadata,
    Column("charge_point_id", ForeignKey("charge_points.id"), primary_key=True),
    Column("connector_id", Integer, CheckConstraint("connector_id > 0", name="connector_id"), primary_key=True,
           autoincrement=False),
    Column("standard", Text, nullable=False),
    Column("format", Text, CheckConstraint("format in ('SOCKET', 'CABLE')", name="format"), nullable=False),
    Column("power_type", Text, CheckConstraint(
        "power_type in ('AC_1_PHASE', 'AC_2_PHASE', 'AC_2_PHASE_SPLIT', 'AC_3_PHASE', 'DC')", name="power_type"),
        nullable=False),
    Column("max_power_w", Integer, CheckConstraint("max_power_w > 0", name="max_power_w")),
    comment="What each connector is, as its owner says it (OCPI 2.2.1 ConnectorType, ConnectorFormat, PowerType).",
)  # fmt: skip

connector_codes = Table(
    "connector_codes",
    metadata,
    Column("code", String(12), CheckConstraint("code ~ '^[2-9A-HJ-NP-Z]{12}$'", name="code"), primary_key=True),
    Column("charge_point_id", ForeignKey("charge_points.id"), nullable=False),
    Column("connector_id", Integer, CheckConstraint("connector_id > 0", name="connector_id"), nullable=False),
    Column("revoked_at", TIMESTAMP),
    _created_at(),
    Index("uq_connector_codes_current", "charge_point_id", "connector_id", unique=True,
          postgresql_where=text("revoked_at is null")),
    comment="The random token on a connector's sticker: one that counts, and those before it, which never come back.",
)  # fmt: skip

learning_windows = Table(
    "learning_windows",
    metadata,
    _uuid_key(),
    Column("charge_point_id", ForeignKey("charge_points.id"), nullable=False),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("label", Text, nullable=False, server_default=""),
    Column("expires_at", TIMESTAMP, nullable=False),
    Column("closed_at", TIMESTAMP),
    Column("id_tag_id", ForeignKey("id_tags.id", ondelete="SET NULL"), index=True),
    _created_at(),
    Index("uq_learning_windows_open", "charge_point_id", unique=True, postgresql_where=text("closed_at is null")),
    comment="While one is open, the next unknown card at the charge point becomes a card of this user.",
)

tariffs = Table(
    "tariffs",
    metadata,
    _uuid_key(),
    Column("owner_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("name", Text, CheckConstraint("name <> ''", name="name"), nullable=False),
    Column("charge_point_id", ForeignKey("charge_points.id"), unique=True),
    _created_at(),
    comment="A tariff of an owner; its prices are in its versions. charge_point_id: the own one of that charge point.",
)

tariff_versions = Table(
    "tariff_versions",
    metadata,
    _uuid_key(),
    Column("tariff_id", ForeignKey("tariffs.id"), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("elements", JSONB, nullable=False),
    Column("terms", JSONB, nullable=False, server_default=text("'{}'")),
    Column("valid_from", TIMESTAMP, nullable=False),
    Column("valid_until", TIMESTAMP),
    _created_at(),
    CheckConstraint("valid_until > valid_from", name="validity"),
    Index("ix_tariff_versions_tariff_id_valid_from", "tariff_id", "valid_from"),
    comment="OCPI 2.2.1 tariff: elements, and terms of the whole. Never changed; of those valid, the one that began "
    "last holds.",
)

tariff_assignments = Table(
    "tariff_assignments",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("charge_point_id", ForeignKey("charge_points.id"), nullable=False),
    Column("tariff_id", ForeignKey("tariffs.id")),
    Column("assigned_at", TIMESTAMP, nullable=False),
    Index("ix_tariff_assignments_charge_point_id_assigned_at", "charge_point_id", "assigned_at"),
    comment="Which tariff a charge point has from then on; null: none. The newest holds, the others are history.",
)

billing_profiles = Table(
    "billing_profiles",
    metadata,
    Column("user_id", ForeignKey("users.id"), primary_key=True),
    Column("is_vat_registered", Boolean, nullable=False),
    Column("vat_id", Text),
    Column("changed_at", TIMESTAMP, nullable=False, server_default=NOW),
    CheckConstraint("not is_vat_registered or vat_id is not null", name="vat_id"),
    comment="As what an owner bills. Without a row: not registered for VAT.",
)

groups = Table(
    "groups",
    metadata,
    _uuid_key(),
    Column("owner_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("deleted_at", TIMESTAMP),
    _created_at(),
    comment="People with whom an owner shares as one, such as a family; seen by its owner only.",
)

group_members = Table(
    "group_members",
    metadata,
    Column("group_id", ForeignKey("groups.id"), primary_key=True),
    Column("user_id", ForeignKey("users.id"), primary_key=True, index=True),
    _created_at(),
)

grants = Table(
    "grants",
    metadata,
    _uuid_key(),
    Column("series_id", UUID(as_uuid=True), nullable=False, server_default=text("gen_random_uuid()"), index=True),
    Column("charge_point_id", ForeignKey("charge_points.id"), index=True),
    Column("connector_id", Integer, CheckConstraint("connector_id > 0", name="connector_id")),
    Column("location_id", ForeignKey("locations.id"), index=True),
    Column("audience", Text, CheckConstraint(
        "audience in ('person', 'invitation', 'group', 'public')", name="audience"),
        nullable=False, server_default="person"),
    Column("user_id", ForeignKey("users.id"), index=True),
    Column("invited_email", Text, CheckConstraint("invited_email = lower(invited_email)", name="email_lower")),
    Column("group_id", ForeignKey("groups.id"), index=True),
    Column("priority", SmallInteger, nullable=False, server_default=text("0")),
    Column("windows", JSONB, nullable=False, server_default=text("'[]'")),
    Column("max_energy_wh", BigInteger, CheckConstraint("max_energy_wh > 0", name="max_energy_wh")),
    Column("max_amount_minor", BigInteger, CheckConstraint("max_amount_minor > 0", name="max_amount_minor")),
    Column("currency", String(3)),
    Column("max_sessions", SmallInteger, CheckConstraint("max_sessions > 0", name="max_sessions")),
    Column("cap_period", Text, CheckConstraint("cap_period in ('validity', 'month')", name="cap_period"),
           nullable=False, server_default="validity"),
    Column("valid_from", TIMESTAMP, nullable=False, server_default=NOW),
    Column("valid_until", TIMESTAMP),
    Column("revoked_at", TIMESTAMP),
    Column("tariff_id", ForeignKey("tariffs.id"), comment="null: the tariff of the charge point"),
    _created_at(),
    CheckConstraint("num_nonnulls(charge_point_id, location_id) = 1", name="place"),
    CheckConstraint("connector_id is null or charge_point_id is not null", name="connector_of"),
    CheckConstraint("(audience = 'person') = (user_id is not null)", name="person"),
    CheckConstraint("(audience = 'invitation') = (invited_email is not null)", name="invitation"),
    CheckConstraint("(audience = 'group') = (group_id is not null)", name="group"),
    CheckConstraint("(max_amount_minor is null) = (currency is null)", name="money"),
    Index("ix_grants_created_at_id", "created_at", "id"),
    Index("ix_grants_invited_email", "invited_email", postgresql_where=text("invited_email is not null")),
    comment="Who else than the owner may charge, where and when. A row a version of its series: terms never change.",
)  # fmt: skip

handovers = Table(
    "handovers",
    metadata,
    _uuid_key(),
    Column("charge_point_id", ForeignKey("charge_points.id"), nullable=False),
    Column("offered_by", ForeignKey("users.id"), nullable=False),
    Column("email", Text, CheckConstraint("email = lower(email)", name="email_lower"), nullable=False, index=True),
    Column("expires_at", TIMESTAMP, nullable=False),
    Column("status", Text, CheckConstraint("status in ('offered', 'accepted', 'declined', 'withdrawn')", name="status"),
           nullable=False, server_default="offered"),
    Column("accepted_by", ForeignKey("users.id")),
    Column("ended_at", TIMESTAMP),
    _created_at(),
    Index("uq_handovers_offered", "charge_point_id", unique=True, postgresql_where=text("status = 'offered'")),
    comment="Offers of a charge point to a new owner; one open offer each.",
)  # fmt: skip

command_batches = Table(
    "command_batches",
    metadata,
    _uuid_key(),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("action", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("refused", JSONB, nullable=False, server_default=text("'[]'")),
    _created_at(),
    Index("ix_command_batches_user_id_created_at", "user_id", "created_at"),
    comment="One CALL for many charge points. refused: those to which it could not go, with the reason.",
)

commands = Table(
    "commands",
    metadata,
    _uuid_key(),
    Column("charge_point_id", ForeignKey("charge_points.id"), nullable=False),
    Column("user_id", ForeignKey("users.id"), comment="null: Voltuj itself"),
    Column("batch_id", ForeignKey("command_batches.id"), index=True),
    Column("action", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("status", Text, CheckConstraint(
        "status in ('queued', 'sent', 'accepted', 'rejected', 'call_error', 'offline', 'timeout', 'unknown')",
        name="status"), nullable=False, server_default="queued"),
    Column("epoch", BigInteger, nullable=False),
    Column("published_at", TIMESTAMP),
    Column("deadline_at", TIMESTAMP, nullable=False),
    Column("sent_at", TIMESTAMP),
    Column("finished_at", TIMESTAMP),
    Column("response", JSONB),
    Column("error_code", Text),
    Column("error_description", Text),
    Column("note", Text),
    Column("transaction_id", ForeignKey("transactions.id")),
    Column("tariff_version_id", ForeignKey("tariff_versions.id"), comment="of a remote start: the price it begins at"),
    Column("gave_up_at", TIMESTAMP, comment="when an accepted remote start was found to have led to no transaction"),
    _created_at(),
    Index("ix_commands_charge_point_id_created_at", "charge_point_id", "created_at"),
    Index("ix_commands_open", "deadline_at", postgresql_where=text("status in ('queued', 'sent')")),
    Index("ix_commands_trying", "finished_at", postgresql_where=text(
        "action = 'RemoteStartTransaction' and status = 'accepted' and transaction_id is null and gave_up_at is null")),
    comment="A CALL to a charge point: a row before it is published, one terminal status each.",
)  # fmt: skip

# --- what commands mean -------------------------------------------------------------------------------------------

configuration_keys = Table(
    "configuration_keys",
    metadata,
    Column("charge_point_id", ForeignKey("charge_points.id"), primary_key=True),
    Column("name", String(50), CheckConstraint("name = lower(name)", name="name_lower"), primary_key=True),
    Column("key", String(50), nullable=False),
    Column("value", Text),
    Column("is_readonly", Boolean),
    Column("is_known", Boolean, nullable=False, server_default=text("true")),
    Column("read_at", TIMESTAMP),
    Column("set_value", Text),
    Column("set_at", TIMESTAMP),
    Column("needs_reboot", Boolean, nullable=False, server_default=text("false")),
    comment="What the charge point said of each key, and what it accepted from us. Keys are case-insensitive.",
)

files = Table(
    "files",
    metadata,
    _uuid_key(),
    Column("owner_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("charge_point_id", ForeignKey("charge_points.id"), index=True),
    Column("kind", Text, CheckConstraint("kind in ('firmware', 'diagnostics')", name="kind"), nullable=False),
    Column("name", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    _created_at(),
    comment="The content lies in FILES_DIR under the id. Firmware has no charge point, what one uploaded has.",
)

charge_point_jobs = Table(
    "charge_point_jobs",
    metadata,
    _uuid_key(),
    Column("charge_point_id", ForeignKey("charge_points.id"), nullable=False),
    Column("command_id", ForeignKey("commands.id"), nullable=False, unique=True),
    Column("kind", Text, CheckConstraint("kind in ('firmware', 'diagnostics')", name="kind"), nullable=False),
    Column("action", Text, nullable=False),
    Column("request_id", BigInteger),
    Column("location", Text, nullable=False),
    Column("file_id", ForeignKey("files.id")),
    Column("file_name", Text),
    Column("status", Text, nullable=False, server_default="Requested"),
    Column("status_at", TIMESTAMP, nullable=False, server_default=NOW),
    Column("history", JSONB, nullable=False, server_default=text("'[]'")),
    Column("epoch", BigInteger, nullable=False, server_default=text("0")),
    Column("sequence", BigInteger, nullable=False, server_default=text("0")),
    Column("finished_at", TIMESTAMP),
    _created_at(),
    Index("ix_charge_point_jobs_charge_point_id_created_at", "charge_point_id", "created_at"),
    comment="A firmware update or an upload of diagnostics or logs; history lists {status, at} as they were reported.",
)

local_lists = Table(
    "local_lists",
    metadata,
    Column("charge_point_id", ForeignKey("charge_points.id"), primary_key=True),
    Column("version", Integer, nullable=False, server_default=text("0")),
    Column("entries", JSONB, nullable=False, server_default=text("'[]'")),
    Column("sent_at", TIMESTAMP),
    Column("reported_version", BigInteger),
    Column("reported_at", TIMESTAMP),
    comment="The list that the charge point accepted last (0: none yet), and the version that it reports.",
)

reservations = Table(
    "reservations",
    metadata,
    Column("charge_point_id", ForeignKey("charge_points.id"), primary_key=True),
    Column("reservation_id", Integer, primary_key=True, autoincrement=False),
    Column("connector_id", Integer, nullable=False),
    Column("user_id", ForeignKey("users.id"), comment="the holder of the id tag, where we know it"),
    Column("id_tag", Text, nullable=False),
    Column("parent_id_tag", Text),
    Column("expires_at", TIMESTAMP, nullable=False),
    Column("status", Text, CheckConstraint(
        "status in ('requested', 'accepted', 'faulted', 'occupied', 'rejected', 'unavailable', 'failed', 'used', "
        "'cancelled', 'expired')", name="status"), nullable=False, server_default="requested"),
    Column("command_id", ForeignKey("commands.id"), nullable=False, unique=True),
    Column("transaction_id", ForeignKey("transactions.id")),
    Column("ended_at", TIMESTAMP),
    _created_at(),
    Index("ix_reservations_open", "expires_at", postgresql_where=text("status in ('requested', 'accepted')")),
    comment="Ids are per charge point. faulted and unavailable may also end one that was accepted.",
)  # fmt: skip

bookings = Table(
    "bookings",
    metadata,
    _uuid_key(),
    Column("charge_point_id", ForeignKey("charge_points.id"), nullable=False),
    Column("connector_id", Integer, CheckConstraint("connector_id > 0", name="connector_id"), nullable=False),
    Column("owner_id", ForeignKey("users.id"), nullable=False),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("id_tag", Text, nullable=False),
    Column("parent_tag", Text),
    Column("grant_id", ForeignKey("grants.id"), comment="null: the owner's own"),
    Column("starts_at", TIMESTAMP, nullable=False),
    Column("ends_at", TIMESTAMP, nullable=False),
    Column("status", Text, CheckConstraint(
        "status in ('standing', 'used', 'cancelled', 'expired', 'faulted', 'unavailable', 'withdrawn')", name="status"),
        nullable=False, server_default="standing"),
    Column("currency", String(3)),
    Column("no_show_fee_minor", BigInteger, CheckConstraint("no_show_fee_minor >= 0", name="fee"), nullable=False,
           server_default=text("0")),
    Column("is_no_show", Boolean, nullable=False, server_default=text("false")),
    Column("settled_minor", BigInteger, nullable=False, server_default=text("0")),
    Column("transaction_id", ForeignKey("transactions.id")),
    Column("command_id", ForeignKey("commands.id"), unique=True, comment="the newest ReserveNow for it"),
    Column("release_command_id", ForeignKey("commands.id"), comment="the CancelReservation"),
    Column("ended_at", TIMESTAMP),
    _created_at(),
    CheckConstraint("ends_at > starts_at", name="range"),
    CheckConstraint("(status = 'standing') = (ended_at is null)", name="ended"),
    CheckConstraint("no_show_fee_minor = 0 or currency is not null", name="money"),
    CheckConstraint("not is_no_show or status in ('expired', 'cancelled') and no_show_fee_minor > 0", name="no_show"),
    ExcludeConstraint(
        ("charge_point_id", "="), ("connector_id", "="), (text("tstzrange(starts_at, ends_at)"), "&&"),
        where=text("status = 'standing'"), using="gist", name="ex_bookings_connector"),
    Index("ix_bookings_charge_point_id_starts_at", "charge_point_id", "starts_at"),
    Index("ix_bookings_user_id_created_at", "user_id", "created_at"),
    Index("ix_bookings_standing", "starts_at", postgresql_where=text("status = 'standing'")),
    Index("ix_bookings_to_settle", "ended_at", postgresql_where=text(
        "settled_minor <> case when is_no_show then no_show_fee_minor else 0 end")),
    comment="A person's connector for a while, of which no two overlap; ReserveNow tells the charge point where it "
    "can. The fee is that of the tariff in force at starts_at, frozen; settled_minor is what of it stands in the "
    "ledger.",
)  # fmt: skip

charging_profiles = Table(
    "charging_profiles",
    metadata,
    Column("charge_point_id", ForeignKey("charge_points.id"), primary_key=True),
    Column("charging_profile_id", BigInteger, primary_key=True, autoincrement=False),
    Column("connector_id", Integer, nullable=False),
    Column("stack_level", Integer, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("profile", JSONB, nullable=False),
    Column("set_at", TIMESTAMP, nullable=False),
    comment="The charging profiles that the charge point accepted and was not told to clear.",
)

security_events = Table(
    "security_events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("charge_point_id", ForeignKey("charge_points.id"), nullable=False),
    Column("type", Text, nullable=False),
    Column("at", TIMESTAMP, nullable=False),
    Column("tech_info", Text, nullable=False, server_default=""),
    Column("is_critical", Boolean, nullable=False),
    Column("received_at", TIMESTAMP, nullable=False),
    UniqueConstraint("charge_point_id", "at", "type", "tech_info"),
    Index("ix_security_events_charge_point_id_received_at", "charge_point_id", "received_at"),
    comment="SecurityEventNotification, and what we noticed ourselves; the same one sent again is stored once.",
)

certificate_authority = Table(
    "certificate_authority",
    metadata,
    Column("id", SmallInteger, CheckConstraint("id = 1", name="one_row"), primary_key=True, autoincrement=False),
    Column("private_key", Text, nullable=False),
    Column("certificate", Text, nullable=False),
    _created_at(),
    comment="One row. The authority that signs charge point certificates; its key is PEM, encrypted by CA_PASSWORD.",
)

certificates = Table(
    "certificates",
    metadata,
    _uuid_key(),
    Column("charge_point_id", ForeignKey("charge_points.id"), nullable=False),
    Column("command_id", ForeignKey("commands.id"), unique=True),
    Column("csr", Text, nullable=False),
    Column("csr_digest", LargeBinary, nullable=False),
    Column("status", Text, CheckConstraint(
        "status in ('requested', 'refused', 'sent', 'accepted', 'rejected', 'failed')", name="status"),
        nullable=False, server_default="requested"),
    Column("reason", Text),
    Column("certificate", Text),
    Column("fingerprint", LargeBinary),
    Column("serial_number", Text),
    Column("not_after", TIMESTAMP),
    _created_at(),
    Index("uq_certificates_open", "charge_point_id", "csr_digest", unique=True,
          postgresql_where=text("status in ('requested', 'sent')")),
    Index("ix_certificates_charge_point_id_created_at", "charge_point_id", "created_at"),
    Index("ix_certificates_requested", "created_at", postgresql_where=text("status = 'requested'")),
    comment="What became of each SignCertificate. fingerprint is SHA-256 of the DER certificate.",
)  # fmt: skip

installed_certificates = Table(
    "installed_certificates",
    metadata,
    Column("charge_point_id", ForeignKey("charge_points.id"), primary_key=True),
    Column("certificate_type", Text, primary_key=True),
    Column("issuer_name_hash", Text, primary_key=True),
    Column("issuer_key_hash", Text, primary_key=True),
    Column("serial_number", Text, primary_key=True),
    Column("hash_algorithm", Text, nullable=False),
    Column("seen_at", TIMESTAMP, nullable=False),
    comment="Root certificates at the charge point, as its last GetInstalledCertificateIds answer listed them.",
)

message_log = Table(
    "message_log",
    metadata,
    Column("charge_point_id", UUID(as_uuid=True), primary_key=True),
    Column("at", TIMESTAMP, primary_key=True),
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("direction", Text, CheckConstraint("direction in ('in', 'out')", name="direction"), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("message_type", SmallInteger),
    Column("message_id", Text),
    Column("action", Text),
    Column("frame", LargeBinary, nullable=False),
    Column("note", Text),
    postgresql_partition_by="RANGE (at)",
    comment="Every frame in and out, redacted, byte for byte. message_type is 2, 3 or 4; null where unreadable. note "
    "says what a quirk repaired in it.",
)

unprocessed = Table(
    "unprocessed",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("charge_point_id", ForeignKey("charge_points.id"), nullable=False, index=True),
    Column("epoch", BigInteger, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("received_at", TIMESTAMP, nullable=False),
    Column("error_code", Text, comment="the CALLERROR that it was answered with; null where answered validly"),
    Column("reason", Text, nullable=False),
    Column("suggested_quirks", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column(
        "repaired", LargeBinary, comment="of a refused message: the payload that can be processed with these quirks"
    ),
    Column("transaction_id", ForeignKey("transactions.id")),
    Column("resolved_at", TIMESTAMP),
    _created_at(),
    UniqueConstraint("charge_point_id", "action", "digest"),
    comment="Messages that could not be processed or had to be refused, raw, for a person. Replays find their row.",
)

quirk_sightings = Table(
    "quirk_sightings",
    metadata,
    Column("charge_point_id", ForeignKey("charge_points.id"), primary_key=True),
    Column("quirk", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("first_seen_at", TIMESTAMP, nullable=False),
    Column("last_seen_at", TIMESTAMP, nullable=False),
    comment="How often a quirk that was not set would have helped: what is suggested for a charge point.",
)

refused_handshakes = Table(
    "refused_handshakes",
    metadata,
    Column("charge_point_id", ForeignKey("charge_points.id"), primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("remote_address", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("first_at", TIMESTAMP, nullable=False),
    Column("last_at", TIMESTAMP, nullable=False),
    comment="The last handshakes of a known identity that were refused; a few rows a charge point.",
)

knocks = Table(
    "knocks",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("identity", String(48), nullable=False, unique=True),
    Column("remote_address", Text, nullable=False, index=True),
    Column("count", BigInteger, nullable=False),
    Column("first_at", TIMESTAMP, nullable=False),
    Column("last_at", TIMESTAMP, nullable=False, index=True),
    comment="Identities that knocked and are nobody's; bounded in all and for each remote address.",
)

auto_configurations = Table(
    "auto_configurations",
    metadata,
    Column("charge_point_id", ForeignKey("charge_points.id"), primary_key=True),
    Column("firmware_version", Text, primary_key=True),
    Column("status", Text, CheckConstraint("status in ('running', 'done')", name="status"), nullable=False),
    Column("items", JSONB, nullable=False),
    Column("started_at", TIMESTAMP, nullable=False),
    Column("finished_at", TIMESTAMP),
    Index("ix_auto_configurations_running", "charge_point_id", postgresql_where=text("status = 'running'")),
    comment="Automatic configuration, once a firmware. items: key, value, status, command_id, attempts of each.",
)

# --- transactions ---------------------------------------------------------------------------------------------------

transactions = Table(
    "transactions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("public_id", UUID(as_uuid=True), nullable=False, unique=True, server_default=text("gen_random_uuid()")),
    Column("charge_point_id", ForeignKey("charge_points.id"), nullable=False),
    Column("connector_id", Integer, nullable=False),
    Column("ocpp_transaction_id", Integer, CheckConstraint("ocpp_transaction_id > 0", name="ocpp_transaction_id"),
           nullable=False),
    Column("id_tag", Text, nullable=False),
    Column("id_tag_status", Text, nullable=False),
    Column("driver_id", ForeignKey("users.id")),
    Column("owner_id", ForeignKey("users.id"), nullable=False, comment="of the charge point at the start; a trigger"),
    Column("grant_id", ForeignKey("grants.id"), comment="by which the driver charged; null: the owner, or refused"),
    Column("started_at", TIMESTAMP, nullable=False),
    Column("start_received_at", TIMESTAMP, nullable=False),
    Column("start_boot_count", Integer, nullable=False),
    Column("meter_start_wh", BigInteger, nullable=False),
    Column("occurrence", Integer, nullable=False, server_default=text("0")),
    Column("reservation_id", BigInteger),
    Column("status", Text, CheckConstraint("status in ('active', 'stopped', 'abandoned')", name="status"),
           nullable=False, server_default="active"),
    Column("stopped_at", TIMESTAMP),
    Column("stop_received_at", TIMESTAMP),
    Column("stop_reason", Text),
    Column("meter_stop_wh", BigInteger),
    Column("energy_wh", BigInteger),
    Column("held_reasons", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("tariff_version_id", ForeignKey("tariff_versions.id")),
    Column("tariff", JSONB),
    Column("currency", String(3)),
    Column("total_minor", BigInteger),
    Column("charge_detail_record", JSONB),
    Column("settled_at", TIMESTAMP),
    Column("limit_energy_wh", BigInteger, comment="what the grant leaves; null: no limit"),
    Column("limit_amount_minor", BigInteger, comment="the same of its money, in the session's currency"),
    Column("limit_credit_minor", BigInteger, comment="what the driver's sessions may come to; null: not by credit"),
    Column("limit_reached", Text, comment="which of them was reached first"),
    Column("limit_reached_at", TIMESTAMP),
    Column("limit_stop_at", TIMESTAMP, comment="when the charge point was last told to stop it for that"),
    Column("limit_checked_at", TIMESTAMP),
    _created_at(),
    CheckConstraint("least(limit_energy_wh, limit_amount_minor, limit_credit_minor) >= 0", name="limits"),
    CheckConstraint("limit_reached in ('energy_cap_reached', 'amount_cap_reached', 'credit_used_up')",
                    name="limit_reached"),
    CheckConstraint("(limit_reached is null) = (limit_reached_at is null)", name="limit_reached_at"),
    UniqueConstraint("charge_point_id", "ocpp_transaction_id"),
    UniqueConstraint("charge_point_id", "connector_id", "id_tag", "started_at", "meter_start_wh", "occurrence",
                     name="uq_transactions_start"),
    Index("ix_transactions_charge_point_id_started_at", "charge_point_id", "started_at"),
    Index("ix_transactions_driver_id_started_at", "driver_id", "started_at"),
    Index("ix_transactions_owner_id_started_at", "owner_id", "started_at"),
    Index("ix_transactions_grant_id_driver_id", "grant_id", "driver_id", postgresql_where=text("grant_id is not null")),
    Index("ix_transactions_id_tag_active", "id_tag", postgresql_where=text("status = 'active'")),
    Index("ix_transactions_active", "charge_point_id", "connector_id", postgresql_where=text("status = 'active'")),
    Index("ix_transactions_limited", "id", postgresql_where=text(
        "status = 'active' and num_nonnulls(limit_energy_wh, limit_amount_minor, limit_credit_minor) > 0")),
    Index("ix_transactions_started_at_id", "started_at", "id"),
    Index("ix_transactions_held", "started_at", "id", postgresql_where=text("cardinality(held_reasons) > 0")),
    Index("ix_transactions_owner_id_held", "owner_id", "started_at", "id",
          postgresql_where=text("cardinality(held_reasons) > 0")),
    Index("ix_transactions_due", "id", postgresql_where=text(
        "status = 'stopped' and settled_at is null and total_minor is not null and cardinality(held_reasons) = 0")),
    comment="tariff is frozen at the start. A session with held_reasons is never billed without a person.",
)  # fmt: skip

transaction_stops = Table(
    "transaction_stops",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("charge_point_id", ForeignKey("charge_points.id"), nullable=False),
    Column("ocpp_transaction_id", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("transaction_id", ForeignKey("transactions.id"), index=True),
    Column("applied", Boolean, nullable=False),
    Column("id_tag", Text),
    Column("meter_stop_wh", BigInteger, nullable=False),
    Column("stopped_at", TIMESTAMP, nullable=False),
    Column("reason", Text, nullable=False),
    Column("received_at", TIMESTAMP, nullable=False),
    UniqueConstraint("charge_point_id", "ocpp_transaction_id", "digest"),
    comment="Every StopTransaction once by content: the one that was applied, those that differ, and orphans.",
)

meter_values = Table(
    "meter_values",
    metadata,
    Column("charge_point_id", UUID(as_uuid=True), primary_key=True),
    Column("sampled_at", TIMESTAMP, primary_key=True),
    Column("connector_id", Integer, primary_key=True, autoincrement=False),
    Column("digest", BigInteger, primary_key=True, autoincrement=False),
    Column("transaction_id", BigInteger),
    Column("ocpp_transaction_id", BigInteger),
    Column("received_at", TIMESTAMP, nullable=False),
    Column("energy_wh", BigInteger),
    Column("power_w", BigInteger),
    Column("samples", JSONB, nullable=False),
    Index("ix_meter_values_transaction_id_sampled_at", "transaction_id", "sampled_at"),
    postgresql_partition_by="RANGE (sampled_at)",
    comment="One row a meterValue; energy_wh is Energy.Active.Import.Register at the outlet. digest ends duplicates.",
)

# --- settlement: the restricted role may only read and add here ----------------------------------------------------

ledger_accounts = Table(
    "ledger_accounts",
    metadata,
    _uuid_key(),
    Column("kind", Text, CheckConstraint("kind in ('driver', 'owner', 'platform', 'bank')", name="kind"),
           nullable=False),
    Column("user_id", ForeignKey("users.id")),
    _created_at(),
    CheckConstraint("(user_id is null) = (kind in ('platform', 'bank'))", name="holder"),
    UniqueConstraint("user_id", "kind", postgresql_nulls_not_distinct=True),
    comment="Accounts of people as drivers and as owners, and of the house. A person is an opaque id here.",
)  # fmt: skip

decisions = Table(
    "decisions",
    metadata,
    _uuid_key(),
    Column("transaction_id", ForeignKey("transactions.id"), nullable=False, index=True),
    Column("decision", Text, CheckConstraint("decision in ('bill', 'waive', 'correct')", name="decision"),
           nullable=False),
    Column("note", Text, nullable=False),
    Column("held_reasons", ARRAY(Text), nullable=False),
    Column("meter_start_wh", BigInteger),
    Column("meter_stop_wh", BigInteger),
    Column("stopped_at", TIMESTAMP),
    Column("decided_by", ForeignKey("users.id"), nullable=False),
    Column("decided_at", TIMESTAMP, nullable=False),
    comment="Who decided what about a session, when and why; held_reasons as they were, registers of a correction.",
)  # fmt: skip

settlements = Table(
    "settlements",
    metadata,
    _uuid_key(),
    Column("transaction_id", ForeignKey("transactions.id"), nullable=False),
    Column("revision", Integer, CheckConstraint("revision >= 0", name="revision"), nullable=False),
    Column("decision_id", ForeignKey("decisions.id")),
    Column("driver_account_id", ForeignKey("ledger_accounts.id")),
    Column("owner_account_id", ForeignKey("ledger_accounts.id"), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("net_minor", BigInteger, nullable=False),
    Column("vat_minor", BigInteger, nullable=False),
    Column("fee_bp", Integer, CheckConstraint("fee_bp between 0 and 10000", name="fee_bp"), nullable=False),
    Column("charge_detail_record", JSONB),
    Column("posted_at", TIMESTAMP, nullable=False, server_default=NOW),
    Column("posted_by", BigInteger, nullable=False, server_default=text("pg_current_xact_id()::text::bigint")),
    UniqueConstraint("transaction_id", "revision"),
    Index("ix_settlements_posted_at_id", "posted_at", "id"),
    comment="What a session comes to; a correction is a further revision. posted_by is the database transaction of "
    "its making, set by a trigger: only that one may add transfers to it.",
)

credit_limits = Table(
    "credit_limits",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("limit_minor", BigInteger, CheckConstraint("limit_minor >= 0", name="limit"), nullable=False),
    Column("note", Text, nullable=False),
    Column("set_by", ForeignKey("users.id"), nullable=False),
    Column("set_at", TIMESTAMP, nullable=False),
    Index("ix_credit_limits_user_id_currency_id", "user_id", "currency", "id"),
    comment="How far below zero a driver may charge, who said so and why; the newest row holds, without one a setting.",
)

holds = Table(
    "holds",
    metadata,
    _uuid_key(),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("command_id", ForeignKey("commands.id"), nullable=False, unique=True),
    Column("currency", String(3), nullable=False),
    Column("amount_minor", BigInteger, CheckConstraint("amount_minor > 0", name="amount"), nullable=False),
    Column("placed_at", TIMESTAMP, nullable=False),
    Column("released_at", TIMESTAMP),
    Column("spendable_minor", BigInteger, comment="what the driver's sessions may come to"),
    Index("ix_holds_open", "user_id", "currency", postgresql_where=text("released_at is null")),
    comment="What a start keeps of a driver's money until its session is settled, or turns out not to begin.",
)

payment_symbols = Table(
    "payment_symbols",
    metadata,
    Column("user_id", ForeignKey("users.id"), primary_key=True),
    Column("number", BigInteger, Identity(always=True, start=100_000_000, maxvalue=499_999_999), nullable=False,
           unique=True),
    _created_at(),
    comment="The number and its check digit are the variable symbol of whatever this person pays to the house.",
)  # fmt: skip

payout_accounts = Table(
    "payout_accounts",
    metadata,
    Column("user_id", ForeignKey("users.id"), primary_key=True),
    Column("iban", String(34), nullable=False),
    Column("holder_name", Text, nullable=False),
    Column("changed_at", TIMESTAMP, nullable=False),
    comment="To which bank account an owner is paid.",
)

payouts = Table(
    "payouts",
    metadata,
    _uuid_key(),
    Column("number", BigInteger, Identity(always=True, start=500_000_000, maxvalue=999_999_999), nullable=False,
           unique=True),
    Column("account_id", ForeignKey("ledger_accounts.id"), nullable=False),
    Column("iban", String(34), nullable=False),
    Column("holder_name", Text, nullable=False),
    Column("amount_minor", BigInteger, CheckConstraint("amount_minor > 0", name="amount"), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("status", Text, CheckConstraint("status in ('open', 'paid', 'cancelled')", name="status"), nullable=False,
           server_default="open"),
    Column("created_by", ForeignKey("users.id"), nullable=False),
    Column("ended_at", TIMESTAMP),
    Column("ended_by", ForeignKey("users.id"), comment="null: a bank statement"),
    _created_at(),
    CheckConstraint("(status = 'open') = (ended_at is null)", name="ended"),
    Index("uq_payouts_open", "account_id", "currency", unique=True, postgresql_where=text("status = 'open'")),
    Index("ix_payouts_account_id_created_at", "account_id", "created_at"),
    comment="Money on its way to an owner; posted once it is paid. The number and its check digit are its variable "
    "symbol. Only how it ends may be changed.",
)  # fmt: skip

bank_movements = Table(
    "bank_movements",
    metadata,
    _uuid_key(),
    Column("bank_account", String(34), nullable=False),
    Column("reference", Text, nullable=False),
    Column("booked_on", Date, nullable=False),
    Column("amount_minor", BigInteger, CheckConstraint("amount_minor <> 0", name="amount"), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("variable_symbol", String(10)),
    Column("counterparty", Text, nullable=False, server_default=""),
    Column("counterparty_name", Text, nullable=False, server_default=""),
    Column("message", Text, nullable=False, server_default=""),
    Column("imported_by", ForeignKey("users.id"), comment="null: the command line"),
    Column("imported_at", TIMESTAMP, nullable=False, server_default=NOW),
    UniqueConstraint("bank_account", "reference"),
    Index("ix_bank_movements_imported_at_id", "imported_at", "id"),
    comment="A line of a statement of the house's bank account, once by the bank's own reference; negative went out.",
)

bank_postings = Table(
    "bank_postings",
    metadata,
    _uuid_key(),
    Column("movement_id", ForeignKey("bank_movements.id")),
    Column("revision", Integer, CheckConstraint("revision >= 0", name="revision"), nullable=False),
    Column("decision", Text, CheckConstraint(
        "decision in ('top_up', 'payout', 'confirmed', 'refund', 'ignored', 'opened')", name="decision"),
        nullable=False),
    Column("account_id", ForeignKey("ledger_accounts.id")),
    Column("payout_id", ForeignKey("payouts.id"), index=True),
    Column("note", Text, nullable=False, server_default=""),
    Column("decided_by", ForeignKey("users.id"), comment="null: matched by its variable symbol"),
    Column("posted_at", TIMESTAMP, nullable=False, server_default=NOW),
    Column("posted_by", BigInteger, nullable=False, server_default=text("pg_current_xact_id()::text::bigint")),
    CheckConstraint("movement_id is not null or decision = 'payout'", name="movement"),
    CheckConstraint("(decision in ('payout', 'confirmed')) = (payout_id is not null)", name="payout"),
    UniqueConstraint("movement_id", "revision"),
    Index("uq_bank_postings_payout", "payout_id", unique=True, postgresql_where=text("decision = 'payout'")),
    comment="What a bank movement, or a payout that an operator confirmed, means; a later decision is a further "
    "revision. Sealed as settlements are.",
)  # fmt: skip

no_show_postings = Table(
    "no_show_postings",
    metadata,
    _uuid_key(),
    Column("booking_id", ForeignKey("bookings.id"), nullable=False),
    Column("revision", Integer, CheckConstraint("revision >= 0", name="revision"), nullable=False),
    Column("driver_account_id", ForeignKey("ledger_accounts.id"), nullable=False),
    Column("owner_account_id", ForeignKey("ledger_accounts.id"), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("amount_minor", BigInteger, CheckConstraint("amount_minor >= 0", name="amount"), nullable=False),
    Column("posted_at", TIMESTAMP, nullable=False, server_default=NOW),
    Column("posted_by", BigInteger, nullable=False, server_default=text("pg_current_xact_id()::text::bigint")),
    UniqueConstraint("booking_id", "revision"),
    comment="The fee for a booking that nobody came for; a further revision takes it back. Sealed as settlements are.",
)

transfers = Table(
    "transfers",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("public_id", UUID(as_uuid=True), nullable=False, unique=True, server_default=text("gen_random_uuid()")),
    Column("settlement_id", ForeignKey("settlements.id"), index=True),
    Column("bank_posting_id", ForeignKey("bank_postings.id"), index=True),
    Column("no_show_posting_id", ForeignKey("no_show_postings.id"), index=True),
    Column("debit_account_id", ForeignKey("ledger_accounts.id"), nullable=False),
    Column("credit_account_id", ForeignKey("ledger_accounts.id"), nullable=False),
    Column("amount_minor", BigInteger, CheckConstraint("amount_minor > 0", name="amount"), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("kind", Text, CheckConstraint(
        "kind in ('charge', 'vat', 'platform_fee', 'top_up', 'payout', 'refund', 'no_show_fee')", name="kind"),
        nullable=False),
    Column("is_reversal", Boolean, nullable=False),
    Column("booked_on", Date, nullable=False),
    Column("posted_at", TIMESTAMP, nullable=False, server_default=NOW),
    CheckConstraint("debit_account_id <> credit_account_id", name="two_accounts"),
    CheckConstraint("num_nonnulls(settlement_id, bank_posting_id, no_show_posting_id) = 1", name="one_cause"),
    CheckConstraint("(kind = 'no_show_fee') = (no_show_posting_id is not null)", name="no_show_fee"),
    CheckConstraint("(kind in ('charge', 'vat', 'platform_fee')) = (settlement_id is not null)", name="kind_of_cause"),
    Index("ix_transfers_debit_account_id_booked_on_id", "debit_account_id", "booked_on", "id",
          postgresql_include=["amount_minor", "currency"]),
    Index("ix_transfers_credit_account_id_booked_on_id", "credit_account_id", "booked_on", "id",
          postgresql_include=["amount_minor", "currency"]),
    Index("ix_transfers_booked_on", "booked_on"),
    comment="amount_minor from debit to credit, because of a settlement, a bank posting or a no-show. booked_on is the "
    "day of posting where the charge point stands, or by the clock of the house.",
)  # fmt: skip

balance_snapshots = Table(
    "balance_snapshots",
    metadata,
    Column("day", Date, primary_key=True),
    Column("account_id", ForeignKey("ledger_accounts.id"), primary_key=True),
    Column("currency", String(3), primary_key=True),
    Column("balance_minor", BigInteger, nullable=False),
    Column("credited_minor", BigInteger),
    Column("debited_minor", BigInteger),
    comment="What stood on every account at the end of a month that is closed: no transfer is booked on such a day.",
)

closed_days = Table(
    "closed_days",
    metadata,
    Column("day", Date, primary_key=True),
    comment="Up to the newest of them no transfer is booked any more; nor on days of months that are closed.",
)

interim_balances = Table(
    "interim_balances",
    metadata,
    Column("account_id", ForeignKey("ledger_accounts.id"), primary_key=True),
    Column("day", Date, CheckConstraint("extract(day from day + 1) > 1", name="day"), primary_key=True),
    Column("currency", String(3), primary_key=True),
    Column("balance_minor", BigInteger, nullable=False),
    Column("credited_minor", BigInteger, nullable=False),
    Column("debited_minor", BigInteger, nullable=False),
    comment="What stood on an account at the end of a closed day within a month, and what came in and went out "
    "since the month began: of accounts with much to add up, in all of their currencies.",
)

receipts = Table(
    "receipts",
    metadata,
    Column("settlement_id", ForeignKey("settlements.id"), primary_key=True),
    Column("owner_account_id", ForeignKey("ledger_accounts.id"), nullable=False),
    Column("number", Integer, CheckConstraint("number > 0", name="number"), nullable=False),
    UniqueConstraint("owner_account_id", "number"),
    comment="The number of each settlement's receipt: without gaps among those of an owner. A trigger on settlements "
    "gives it; nobody else adds rows.",
)

# --- events: rows are written by triggers of the tables that they are about ----------------------------------------

event_positions = Sequence("event_positions", metadata=metadata)
"""Drawn by whoever numbers events, one at a time, so that positions become visible in their order."""

events = Table(
    "events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("public_id", UUID(as_uuid=True), nullable=False, server_default=text("gen_random_uuid()")),
    Column("position", BigInteger, unique=True),
    Column("type", Text, nullable=False),
    Column("at", TIMESTAMP, nullable=False),
    Column("charge_point_id", UUID(as_uuid=True)),
    Column("person_id", UUID(as_uuid=True)),
    Column("audience", Text, CheckConstraint("audience in ('guests', 'person', 'requester', 'owner')", name="audience"),
           nullable=False),
    Column("data", JSONB, nullable=False),
    _created_at(),
    Index("ix_events_unnumbered", "id", postgresql_where=text("position is null")),
    comment="What happened, written with the effect. position is null until it is numbered; person_id is whom it is "
    "about; audience says who may read it.",
)  # fmt: skip

webhooks = Table(
    "webhooks",
    metadata,
    _uuid_key(),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("url", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("types", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("charge_point_ids", ARRAY(UUID(as_uuid=True)), nullable=False, server_default=text("'{}'")),
    Column("disabled_at", TIMESTAMP),
    Column("disabled_reason", Text),
    _created_at(),
    CheckConstraint("(disabled_at is null) = (disabled_reason is null)", name="disabled"),
    comment="Where a user's events are posted. Empty types and charge_point_ids stand for all.",
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    _uuid_key(),
    Column("webhook_id", ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    Column("event_id", ForeignKey("events.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("status", Text, CheckConstraint("status in ('pending', 'delivered', 'failed', 'withdrawn')", name="status"),
           nullable=False, server_default="pending"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_at", TIMESTAMP, nullable=False),
    Column("give_up_at", TIMESTAMP, nullable=False),
    Column("attempted_at", TIMESTAMP),
    Column("response_status", Integer),
    Column("error", Text),
    _created_at(),
    UniqueConstraint("webhook_id", "event_id"),
    Index("ix_webhook_deliveries_due", "webhook_id", "next_at", postgresql_where=text("status = 'pending'")),
    Index("ix_webhook_deliveries_webhook_id_created_at", "webhook_id", "created_at", "id"),
    comment="One event to one webhook. While somebody delivers it, next_at lies ahead: a lease.",
)  # fmt: skip
