"""What every campaign has: a folder that its processes' users come through, and one form of its figures."""

import tempfile
from pathlib import Path


def scratch_folder():
    """One that holds the folders of the runs of a campaign."""
    made = Path(tempfile.mkdtemp(prefix="alcor-chaos-"))
    made.chmod(0o755)  # PostgreSQL's user has to come through
    return made


def summary(runs):
    """The one form of a chaos campaign. A run has a seed, a number of acknowledged writes, and a verdict."""
    verdicts = [run.verdict for run in runs]
    return {
        "runs": len(runs),
        "acknowledged": sum(run.acknowledged for run in runs),
        "lost": sum(len(v.lost) for v in verdicts),
        "resurrected": sum(len(v.resurrected) for v in verdicts),
        "duplicated": sum(len(v.duplicated) for v in verdicts),
        "mismatches": sum(len(v.mismatches) for v in verdicts),
        "failed_seeds": [run.seed for run in runs if not run.verdict.well],
    }
