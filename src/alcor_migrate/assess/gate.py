"""The gate before the first start of a run: what `assess` found must be answered, where an answers file is named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alcor_migrate.assess.collect import Question, assess
from alcor_migrate.errors import GateClosed
from alcor_model.fields import Target

if TYPE_CHECKING:
    from alcor_migrate.assess.document import Assessment
    from alcor_migrate.cloud import Cloud
    from alcor_migrate.settings import Settings


def refuse_to_guess(settings: Settings) -> None:
    """Raise GateClosed for upstream Alcor without an answers file: it loses so much that somebody has to agree."""
    if settings.target.kind == Target.UPSTREAM.value and not settings.answers:
        raise GateClosed(
            "run",
            ["target.kind is upstream, which holds less than Neutron, and no answers file says what may be lost"],
            "Name one as `answers` in the configuration; `alcor-migrate assess --answer` writes it.",
        )


async def check(settings: Settings, cloud: Cloud) -> None:
    """Raise GateClosed when a run must not begin. With an answers file this reads the whole source once.

    Raises CloudError, AnswersError, too.
    """
    if settings.answers:
        refuse_what_is_open(await assess(question(settings, cloud)))


def question(settings: Settings, cloud: Cloud) -> Question:
    """What a configuration asks."""
    return Question(
        cloud,
        settings.source.urls[0],
        Target(settings.target.kind),
        settings.target.urls[0],
        Path(settings.answers) if settings.answers else None,
        settings.engine.page_size,
    )


def refuse_what_is_open(found: Assessment) -> None:
    """Raise GateClosed when something is neither resolved nor answered."""
    still = [f"{gap.rule.title} ({gap.rule.name})" for gap in found.gaps if gap.open]
    if still:
        raise GateClosed(
            "run",
            still,
            "`alcor-migrate assess` says what each means; resolve it, or answer it with --answer RULE=accept.",
        )
