"""What the words of `steering.COMMANDS` do to a running migration; each is written into the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcor_migrate.engine.steering import COMMANDS, parse

if TYPE_CHECKING:
    from alcor_migrate.engine.conductor import Migration


async def obey(migration: Migration, text: str, actor: str) -> str:
    """Do what a line says; the answer is for people. Raises ControlError, StateError."""
    word, value = parse(text)
    if word == "help":
        return "\n".join(f"{each:<17} {meaning}" for each, meaning in COMMANDS.items())
    if word == "status":
        return in_short(migration)
    steering = migration.steering
    if value == "?":
        return steering.set(word, value)
    match word:
        case "panic":
            said = await migration.stop_at_once(actor)
        case "withdraw":
            said = "withdrawn" if migration.postponement.withdraw() else "no cutover waits"
        case "throttle" | "no-throttle" | "postpone" | "unpostpone":
            said = steering.brake(word, actor)
            if word == "unpostpone":
                migration.postponement.end()
        case _:
            said = steering.set(word, value)
    migration.throttle.wake()
    migration.store.note("command", actor, text.strip(), {"answer": said})
    return said


def in_short(migration: Migration) -> str:
    """Where it stands, in a few lines."""
    steering, throttle, replay = migration.steering, migration.throttle, migration.replay
    lines = [
        f"{migration.store.state.words}; active: {replay.active}; now: {migration.activity}",
        (
            f"copied {migration.copy.copied} objects; lag {replay.lag * 1000:.0f} ms; "
            f"journal at {migration.journal.position}, applied {replay.applied}"
        ),
        f"throttled: {throttle.reason}" if throttle.reason else "not throttled",
        (
            f"chunk-size={steering.chunk_size:g} max-hold={steering.max_hold:g} max-lag={steering.max_lag:g} "
            f"source-latency={steering.source_latency:g}"
        ),
    ]
    if migration.gateway.ahead:
        why = migration.reads.closed
        lines.append(f"reads: {migration.gateway.reads}" + (f", but asked of {replay.active}: {why}" if why else ""))
    if migration.postponement.waits:
        lines.append(f"a cutover waits: {migration.postponement.waits}")
    elif steering.postponed:
        lines.append(f"cutovers are postponed by {steering.postponed}")
    lines += [f"needs attention: {c.name}: {c.reason} ({c.next_step})" for c in migration.concerns]
    return "\n".join(lines)
