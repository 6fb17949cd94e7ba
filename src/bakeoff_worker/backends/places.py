"""Where a compiled step's operations belong: of one that names no layer, its neighbours tell."""

from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

Place = Tuple[str, str]  # layer, direction


def places(own: Mapping[Any, Optional[Place]], takes: Mapping[Any, List[Any]]) -> Dict[Any, Optional[Place]]:
    """By operation, where it belongs; None: to no layer.

    own: what operations say by themselves. takes: by operation, those whose results it takes. One that says
    nothing belongs where its result is used, or else to what it takes: a kernel's gradient, which the update
    uses, to the backward pass of its layer.
    """
    used_by: Dict[Any, List[Any]] = {}
    for one, taken_ones in takes.items():
        for taken in taken_ones:
            used_by.setdefault(taken, []).append(one)
    found: Dict[Any, Optional[Place]] = {}
    for one in takes:
        users = list(_nearest(one, own, used_by))
        if users and users[0]:
            found[one] = users[0]
            continue
        known = [place for place in _nearest(one, own, takes) if place]
        backward = [place for place in known if place[1] == "backward"]
        found[one] = next(iter(backward + known), None)
    return found


def _nearest(
    start: Any, own: Mapping[Any, Optional[Place]], towards: Mapping[Any, List[Any]]
) -> Iterator[Optional[Place]]:
    """Places of the first operations that say one on each way from this one, the nearest first."""
    queue, seen = [start], {start}
    while queue:
        one = queue.pop(0)
        if one in own:
            yield own[one]
            continue
        fresh = [other for other in towards.get(one, []) if other not in seen]
        seen.update(fresh)
        queue += fresh
