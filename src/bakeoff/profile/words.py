"""A profile's findings in words: what was seen, and what acts on it."""

from __future__ import annotations

from bakeoff.profile.findings import Finding, Kind
from bakeoff.profile.layers import LayerTime, Share


def evidence(finding: Finding) -> str:
    """What was seen, with its figures."""
    match finding.kind:
        case Kind.EQUIVALENT:
            assert finding.layer is not None and finding.layer.saved is not None
            return (
                f"{finding.layer.layer.name} {_takes(finding.layer)}; as reshape and maximum the step is "
                f"{percent(finding.layer.saved)} shorter"
            )
        case Kind.HOST:
            return f"{_share(finding)} of a step is the host's: half the images take nearly as long"
        case Kind.PAGE_FAULTS:
            assert finding.budget is not None
            return (
                f"{_share(finding)} of the CPU time of steps is the kernel's, with "
                f"{finding.budget.page_faults:,.0f} page faults a step"
            )
        case Kind.ONE_THREAD:
            return "one thread computes, and this process may use several CPUs"
        case Kind.INPUT:
            return (
                f"{_share(finding)} of an epoch is not its steps: called one by one, without TensorFlow's "
                "input pipeline and its tuner, they take that much less"
            )
        case Kind.MOVING:
            return f"copies and changes of layout take {_share(finding)} of the step by the profiler"
        case Kind.CONVOLUTION:
            return (
                f"convolutions take {_share(finding)} of the step; a large one attains "
                f"{100 * finding.observed:.0f} % of a large matrix product: this library computes them by "
                "plain loops"
            )
        case Kind.DOUBLE_PRECISION:
            return "everything is computed in float64, which takes at least twice the memory and arithmetic"
        case Kind.NO_EFFECT:
            return f"{finding.setting} is {finding.asked} in the study, but {finding.observed} runs"


def remedy(finding: Finding, command: str) -> str:
    """What acts on it: a command where there is one. command: that runs the study, ``bakeoff run quick``."""
    match finding.kind:
        case Kind.EQUIVALENT:
            assert finding.layer is not None
            down, across = finding.layer.layer.options["pool_size"]
            return (
                f"in the model: layers.Reshape((rows, {down}, columns, {across}, channels)), "
                "then keras.ops.max(x, axis=(2, 4))"
            )
        case Kind.HOST:
            return f"{command} --set defaults.global_batch_size=N; a larger batch learns differently"
        case Kind.PAGE_FAULTS:
            return f"{command} --set defaults.keep_memory=true"
        case Kind.ONE_THREAD:
            return f"{command} --set defaults.threads=N"
        case Kind.INPUT:
            return f"{command} --set defaults.autotune_input=false"
        case Kind.MOVING:
            other = "channels_first" if finding.observed == "channels_last" else "channels_last"
            return f'{command} --set defaults.data_layout="{other}", where the backend has it'
        case Kind.CONVOLUTION:
            return "another build, release or layout of the framework, which is a contestant of its own"
        case Kind.DOUBLE_PRECISION:
            return f'{command} --set defaults.precision="float32"'
        case Kind.NO_EFFECT:
            return f"leave {finding.setting} out of the study"


def percent(share: Share) -> str:
    """``41 % (38 to 44)``."""
    return f"{100 * share.value:.0f} % ({100 * share.low:.0f} to {100 * share.high:.0f})"


def _share(finding: Finding) -> str:
    assert finding.share is not None
    return f"{100 * finding.share:.0f} %"


def _takes(layer: LayerTime) -> str:
    """What a layer takes, as far as the methods agree."""
    if layer.disagrees:
        assert layer.profiled is not None
        return (
            f"takes {percent(layer.both)} of the step by substitution, {100 * layer.profiled:.0f} % by the "
            "framework's profiler: uncertain"
        )
    if layer.is_uncertain:
        return f"takes {percent(layer.both)} of the step: uncertain"
    methods = "two methods agree" if layer.profiled is not None else "by substitution alone"
    return f"takes {percent(layer.both)} of the step ({methods})"
