"""Names of Redis channels and keys that both services use. Only names live here, never a connection.

Redis pub/sub ignores database numbers, so every name carries the installation's prefix.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Channels:
    """Channel and key names under one prefix (setting `REDIS_PREFIX`), for example `voltuj:`."""

    prefix: str

    def listener_inbox(self, listener_id: str) -> str:
        """Channel on which one listener receives; subscribing to it is what makes it a member."""
        return f"{self.prefix}api:{listener_id}"

    @property
    def listener_inboxes(self) -> str:
        """Pattern for `PUBSUB CHANNELS`: Redis itself is the list of listeners that are up."""
        return f"{self.prefix}api:*"

    def gateway_inbox(self, gateway_id: str) -> str:
        """Channel on which one gateway receives outcomes, commands and pushes."""
        return f"{self.prefix}gateway:{gateway_id}"

    @property
    def gateway_inboxes(self) -> str:
        """Pattern for `PUBSUB CHANNELS`: the gateways that are up."""
        return f"{self.prefix}gateway:*"

    def http_inbox(self, api_id: str) -> str:
        """Channel on which one HTTP process hears how its commands ended."""
        return f"{self.prefix}http:{api_id}"

    def connection(self, charge_point_id: str) -> str:
        """Hash {gateway, epoch, since} of the live connection of a charge point; expires unless refreshed."""
        return f"{self.prefix}connection:{charge_point_id}"

    def live(self, charge_point_id: str) -> str:
        """Hash of what is true now: last_seen, connector:<n>, power_w:<n>, energy_wh:<n>."""
        return f"{self.prefix}live:{charge_point_id}"

    @property
    def live_marker(self) -> str:
        """Key that vanishes with a FLUSHALL: the listener that does not find it rebuilds the live state."""
        return f"{self.prefix}live-marker"

    @property
    def events(self) -> str:
        """Channel on which listeners say that there are new events, and which charge points metered."""
        return f"{self.prefix}events"
