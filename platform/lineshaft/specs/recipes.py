"""What an answer was made by: a service and its views, as they were declared when it was given."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from lineshaft.specs.views import Service, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A service with its views, in the service's order.

    Times to live count: they decide which values are withheld, and are no part of a view's version.
    """

    service: Service
    views: tuple[View, ...]

    @property
    def name(self) -> str:
        """Return `service@` and 12 hex digits: alike for recipes that answer alike."""
        meaning = json.dumps([self.service.version, [(view.version, view.ttl_us) for view in self.views]])
        return f"{self.service.name}@{hashlib.sha256(meaning.encode()).hexdigest()[:12]}"

    def to_json(self) -> str:
        """Write the recipe as JSON."""
        return json.dumps({"service": self.service.to_json(), "views": [view.to_json() for view in self.views]})

    @staticmethod
    def from_json(text: str) -> Recipe:
        """Read a recipe back from `to_json`."""
        raw = json.loads(text)
        views = tuple(View.from_json(view) for view in raw["views"])
        return Recipe(service=Service.from_json(raw["service"]), views=views)
