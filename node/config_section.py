"""What every table of cluster.toml is: frozen, and without keys that it does not know."""

import msgspec


class Section(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"
):
    """A table of the file: unknown keys are refused."""
