"""One contestant's evidence, held against the reference stage by stage.

Each stage compares at the contestant's own point: its gradients at the weights that it had before a step, its
steps from its own gradients. So a difference shows where it arises, and doesn't grow on the way: two networks
that differ by a rounding train apart within a few steps, and that says nothing of either.

Where a stage differs, the known causes are tried (`causes`). One that accounts for the difference is named,
and the examination goes on with a reference that computes that way too, to see whether anything else differs.

    state.py     what is known so far, and the search for causes that every stage shares
    declared.py  layers, data, initial weights
    network.py   forward, loss, gradients, moving statistics
    steps.py     the optimizer, alone and step by step; whole epochs
"""

from __future__ import annotations

from bakeoff.verification.evidence import GENERAL, SCENES, Evidence
from bakeoff.verification.examination.declared import check_architecture, check_data, check_initial_weights
from bakeoff.verification.examination.network import check_network
from bakeoff.verification.examination.state import Examination, missing_layer
from bakeoff.verification.examination.steps import check_epoch, check_optimizer, check_steps
from bakeoff.verification.findings import Judgement
from bakeoff.verification.votes import Panel

__all__ = ["examine", "missing_layer"]


def examine(evidence: Evidence, others: Evidence, panel: Panel) -> Judgement:
    """Everything in which a contestant differs from the reference.

    others: a contestant that stands for how the others are built (itself, if they are built like this one).
    panel: all contestants, this one among them, who vote on what the reference lacks.
    """
    exam = Examination(evidence, others, panel)
    check_architecture(exam)
    check_data(exam)
    check_initial_weights(exam)
    for scene in SCENES:
        check_network(exam, scene)
    check_optimizer(exam)
    for scene in SCENES:
        check_steps(exam, scene)
        check_epoch(exam, scene)
    return Judgement(
        _reference(exam),
        tuple(exam.findings),
        dict(exam.worst),
        exam.num_tipped,
        tuple(exam.not_examined),
        tuple(evidence.name_of(place) for place in sorted(exam.without_gradient(GENERAL))),
        tuple(exam.notes),
    )


def _reference(exam: Examination) -> str:
    """What the contestant was held against, in words."""
    if not exam.lacks:
        return "NumPy in float64"
    if len(exam.panel.voters) > 1:
        return f"NumPy in float64 and, as it has no {exam.lacks}, the vote of all contestants"
    return f"nothing: the reference has no {exam.lacks}"
