"""The migration's branch of the tree of errors (its root is `alcor_model.errors.AlcorError`).

    MigrationError
    ├── ConfigError                  the configuration file is wrong (unknown key, missing value, bad address)
    │   └── AnswersError             the answers file of `assess`, or an answer, is wrong
    ├── CloudError                   a cloud cannot be used
    │   ├── CloudNotFound            clouds.yaml has no cloud of this name
    │   ├── CloudUnreachable         Keystone or an API endpoint does not answer
    │   ├── CloudRefused             an API answered with an error (carries status and body)
    │   ├── TargetNotEmpty           the target already holds objects that this migration did not load
    │   └── SourceDatabaseError      Neutron's database cannot be read, or does not say what its API says
    ├── JournalError                 the journal cannot be read or written
    │   └── JournalStalled           a write to the journal failed; writes follow the stated policy
    ├── GatewayError                 the gateway cannot listen, switch or hold
    ├── StateError                   a verb is not possible in the state the migration is in
    │   └── StateDirectoryBusy       another `run` owns the state directory
    ├── StateNotWritten              the state directory cannot be written; what was to be recorded has not happened
    ├── GateClosed                   a gate refused a step; carries the verdicts
    ├── HookRefused                  a hook of the operator refused a step
    └── ControlError                 the running migration cannot be reached through its control socket

Each carries one sentence and a next step; `exit_code` is what the command line ends with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcor_model.errors import AlcorError

if TYPE_CHECKING:
    from collections.abc import Sequence


class MigrationError(AlcorError):
    """Anything that the migration reports to its operator."""

    exit_code = 1


class ConfigError(MigrationError):
    """The configuration file is wrong."""

    exit_code = 2
    next_step = "Correct the file; docs/reference/configuration.md lists every key."


class AnswersError(ConfigError):
    """The answers file of `assess`, or an answer, is wrong."""

    next_step = "Correct it; docs/assess.md says how answers are written."


class CloudError(MigrationError):
    """A cloud cannot be used."""

    exit_code = 3


class CloudNotFound(CloudError):
    """clouds.yaml has no cloud of this name."""

    next_step = "Name a cloud of your clouds.yaml (see OS_CLIENT_CONFIG_FILE) in the configuration."


class CloudUnreachable(CloudError):
    """Keystone or an API endpoint does not answer."""

    next_step = "Check that the service is up and that its address can be reached from here, then try again."


class CloudRefused(CloudError):
    """An API answered with an error."""

    def __init__(self, what: str, status: int, body: str = "", next_step: str = "") -> None:
        excerpt = " ".join(body.split())[:300]
        super().__init__(
            f"{what} answered {status}" + (f": {excerpt}" if excerpt else ""),
            next_step or "Look at that service's log; nothing was changed, so the same command can be repeated.",
        )
        self.status = status
        self.body = body


class TargetNotEmpty(CloudError):
    """The target already holds objects that this migration did not load."""

    next_step = "Give the migration an empty target, or the state directory of the run that filled this one."


class SourceDatabaseError(CloudError):
    """Neutron's database cannot be read, or does not say what its API says."""

    next_step = "Check the address, the grants and the network; without `source.database`, Neutron's API is read."


class JournalError(MigrationError):
    """The journal cannot be read or written."""

    exit_code = 4
    next_step = "Check free space and health of the disk that holds the state directory."


class JournalStalled(JournalError):
    """A write to the journal failed; writes follow the stated policy until it works again."""


class GatewayError(MigrationError):
    """The gateway cannot listen, switch or hold."""

    exit_code = 5


class StateError(MigrationError):
    """A verb is not possible in the state the migration is in."""

    exit_code = 6


class StateDirectoryBusy(StateError):
    """Another `run` owns the state directory."""

    next_step = "Use `alcor-migrate status` to see it; stop it first, or give this run a directory of its own."


class StateNotWritten(MigrationError):
    """The state directory cannot be written; what was to be recorded has not happened."""

    next_step = "Check free space and health of the disk under state_dir; it is tried again."


class GateClosed(MigrationError):
    """A gate refused a step."""

    exit_code = 7

    def __init__(self, step: str, reasons: Sequence[str], next_step: str = "") -> None:
        super().__init__(
            f"{step} is refused: " + "; ".join(reasons),
            next_step or "Resolve what is named (see `alcor-migrate status`), then repeat the command.",
        )
        self.reasons = tuple(reasons)


class HookRefused(MigrationError):
    """A hook of the operator refused a step."""

    exit_code = 7
    next_step = "`alcor-migrate audit` has what it printed. Resolve what it found, then repeat the command."


class ControlError(MigrationError):
    """The running migration cannot be reached through its control socket."""

    exit_code = 8
    next_step = "Start it with `alcor-migrate run`, or name its state directory with --config."
