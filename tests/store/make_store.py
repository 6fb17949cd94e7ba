"""Write the sample as a store of the present schema version: python tests/store/make_store.py

Run it once for each new version, before release, and commit the file; never write an old one again.
"""

from __future__ import annotations

from pathlib import Path

from store_sample import write_sample

from bakeoff.store.schema import VERSION

if __name__ == "__main__":
    target = Path(__file__).parent / "stores" / f"version-{VERSION}.db"
    target.unlink(missing_ok=True)
    write_sample(target)
    target.with_name(target.name + ".lock").unlink()
    print(target)
