"""References to features, in the current version of their view or in one that is named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lineshaft.access.guard import Caller
from lineshaft.access.principal import Principal, Role
from lineshaft.errors import ForbiddenError, InputError, NotFoundError
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.serving.features import Plans, must_read
from lineshaft.serving.references import column_of, heading_of, service_of
from lineshaft.specs import Feature, OnDemandFeature, OnDemandView, Source, View

NEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"), Feature(name="peak")),
)
OLD = replace(NEW, features=(Feature(name="rms"),))
CREST = OnDemandView(
    name="crest",
    features=(OnDemandFeature(name="factor", function="ratio", inputs=("pumps__peak", "pumps__rms")),),
)
CATALOG = FixedCatalog(all_views=(OLD, NEW), all_on_demand=(CREST,))


@pytest.mark.parametrize(
    ("reference", "version"),
    [("pumps:rms", NEW.version), ("pumps@latest:rms", NEW.version), (f"pumps@{OLD.version}:rms", OLD.version)],
)
def test_a_reference_reads_the_version_it_names(reference: str, version: str) -> None:
    """The current one unless it names another; its column is the same to us, and told apart in Feast's answers."""
    (used,) = service_of(CATALOG, [reference]).views

    assert (used.view, used.version, used.features) == ("pumps", version, ("rms",))
    assert column_of(reference) == "pumps__rms"
    assert heading_of(reference) == ("pumps__rms" if version == NEW.version else f"pumps@{OLD.version}__rms")


@pytest.mark.parametrize(
    ("references", "error", "what"),
    [
        (["pumps@v2:rms"], NotFoundError, "no view 'pumps' in version v2"),
        ([f"pumps@{OLD.version}:peak"], NotFoundError, "has no feature 'peak'"),
        ([f"crest@{CREST.version}:factor"], NotFoundError, "no view 'crest'"),
        (["crest:factor", f"pumps@{OLD.version}:rms"], NotFoundError, "'peak', which an on-demand feature"),
        (["pumps:rms", f"pumps@{OLD.version}:rms"], InputError, "in two versions"),
        (["pumps@:rms"], InputError, "names no feature"),
        (["@1:rms"], InputError, "names no feature"),
    ],
)
def test_what_cannot_be_referred_to_is_refused_with_a_remedy(
    references: list[str], error: type[InputError | NotFoundError], what: str
) -> None:
    """Versions that there are not, features that a version has not, two versions at once."""
    with pytest.raises(error, match=what) as refused:
        service_of(CATALOG, references)

    assert refused.value.fix


def test_an_older_version_is_for_whom_the_view_belongs_to_today() -> None:
    """A view that went to another team took its history along."""
    before, today = replace(OLD, team="power"), replace(NEW, team="vibration")
    asked = (f"pumps@{OLD.version}:rms",)
    plan = Plans(catalog=FixedCatalog(all_views=(today, before))).of(asked)
    power, vibration = (
        Caller(principal=Principal(name=team, grants={team: Role.READER}), method="m")
        for team in ("power", "vibration")
    )

    must_read(vibration, asked, plan)
    with pytest.raises(ForbiddenError, match="vibration"):
        must_read(power, asked, plan)
