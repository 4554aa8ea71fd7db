"""Write a feature repository as large as one likes: teams, engineers with a file of views each, services, owners.

`write(root, engineers=50)` is four teams, two hundred engineers and two thousand views; `plant(root)` puts forty
contradictions into it, four of each of ten kinds, and says where each must be found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TEAMS = {
    "electrical": ("voltage [V], current [A], power [W], resistance [ohm], heat [degC]"),
    "process": ("temperature [degC], current [A], pressure [bar], speed [Hz], flow [L/min]"),
    "turbofan": ("inlet [degR], outlet [degR], fan [rpm], core [rpm], bypass [psia]"),
    "vibration": ("acceleration [g], velocity [mm/s], displacement [um], shaft [Hz], bearing [degC]"),
}
"""Each team's channels, with units."""
FUNCTIONS = ("mean", "std", "max")

ENTITIES = """
from feast import Entity, ValueType

machine = Entity(
    name="machine", join_keys=["asset_id"], value_type=ValueType.STRING, owner="platform@plant.example",
)
"""

SOURCES = """
from feast import FileSource, PushSource

rows = FileSource(name="{team}_rows", path="offline/{team}", timestamp_field="event_time")
readings = PushSource(name="{team}_readings", batch_source=rows, tags={{"lineshaft.channels": "{channels}"}})
"""

HEAD = """
from datetime import timedelta

from feast import Aggregation, Entity, FileSource, Field, OnDemandFeatureView, PushSource, StreamFeatureView, ValueType
from feast.types import Float64

from entities import machine
from {team}.sources import readings
"""

VIEW = """
{name} = StreamFeatureView(
    name="{name}",
    entities=[machine],
    source={source},
    timestamp_field="event_time",
    aggregations=[
        Aggregation(
            column=column, function=function, name=f"{{column}}_{{function}}", slide_interval=timedelta(minutes=1),
            time_window=timedelta(minutes={minutes}),
        )
        for column in {columns}
        for function in {functions}
    ],
    schema=[Field(name=f"{{column}}_{{function}}", dtype=Float64) for column in {columns} for function in {functions}],
    ttl=timedelta(hours=2),
    owner="{engineer}@plant.example",
    tags={{"team": "{team}"}},
)
"""

SERVICES = """
from feast import FeatureService
"""

SERVICE = """
{name} = FeatureService(name="{name}", features={features}, owner="{team}@plant.example", tags={{"team": "{team}"}})
"""

TEAMS_FILE = "{team}: {{owners: [{team}_0], members: [{members}], tier: 1, code_owner: '@plant/{team}'}}\n"


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A contradiction: what it is, and the code and file by which it must be told."""

    kind: str
    code: str
    file: str


def view(team: str, engineer: str, number: int, *, minutes: int, source: str = "readings", name: str = "") -> str:
    """Return a view of an engineer: three functions of two neighbouring channels over a window."""
    channels = [part.split()[0] for part in TEAMS[team].split(",")]
    columns = (channels[number % 5], channels[(number + 1) % 5])
    name = name or f"{team}_{engineer}_{number}"
    owned = {"team": team, "engineer": engineer, "source": source, "minutes": minutes}
    return VIEW.format(name=name, columns=columns, functions=FUNCTIONS, **owned)


def write(root: Path, *, engineers: int = 50, views: int = 10) -> None:
    """Write a repository of four teams with so many engineers each, of so many views each."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "entities.py").write_text(ENTITIES)
    for team, channels in TEAMS.items():
        folder = root / team
        folder.mkdir(exist_ok=True)
        (folder / "sources.py").write_text(SOURCES.format(team=team, channels=channels))
        services = SERVICES
        for index in range(engineers):
            who = f"e{index:02d}"
            parts = [view(team, who, n, minutes=index * views + n + 2) for n in range(views)]
            (folder / f"{who}.py").write_text(HEAD.format(team=team) + "".join(parts))
            read = [f"{team}_{who}_0:{channels.split()[0]}_mean"]
            services += SERVICE.format(name=f"{team}_{who}_health", features=read, team=team)
        (folder / "services.py").write_text(services)


def write_teams(path: Path, *, engineers: int = 50) -> None:
    """Write the teams file that belongs to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = {team: ", ".join(f"{team}_{index}" for index in range(1, engineers)) for team in TEAMS}
    path.write_text("".join(TEAMS_FILE.format(team=team, members=members) for team, members in names.items()))


def change(root: Path, team: str = "vibration", who: str = "e07", number: int = 3, *, minutes: int = 999) -> None:
    """Give one view another window."""
    path = root / team / f"{who}.py"
    text = path.read_text()
    start = text.index(f'name="{team}_{who}_{number}"')
    at = text.index("time_window=", start)
    path.write_text(text[:at] + f"time_window=timedelta(minutes={minutes})" + text[text.index("),", at) + 1 :])


def plant(root: Path) -> list[Planted]:
    """Put four of each of ten kinds of contradictions into a repository of at least ten engineers and five views."""
    teams = list(TEAMS)
    return [
        planted
        for place, team in enumerate(teams)
        for planted in Planting(root=root, team=team, other=teams[place - 1]).all()
    ]


@dataclass(frozen=True, kw_only=True)
class Planting:
    """What is put into one team's files, a file for each kind, so that none hides another."""

    root: Path
    team: str
    other: str

    def all(self) -> list[Planted]:
        """Plant every kind once."""
        last = max(self.team, self.other)  # of two that are alike, the one that is read last is told of
        return [
            self.told("same name, other meaning", "LS-DEF-004", self.same_name(), team=last),
            self.told("same meaning, other name", "LS-DEF-029", self.same_meaning(), team=last),
            self.told("contradicting units", "LS-DEF-038", self.units()),
            self.told("another team's object", "LS-DEF-028", self.taken_over()),
            self.told("key of two types", "LS-DEF-037", self.key()),
            self.told("live model's feature", "LS-DEF-036", self.live()),
            self.told("removed under a reader", "LS-DEF-023", self.removed()),
            self.told("unknown team", "LS-DEF-040", self.stranger()),
            self.told("window no multiple", "LS-DEF-014", self.window()),
            self.told("unlike units", "LS-DEF-039", self.unlike()),
        ]

    def told(self, kind: str, code: str, file: str, *, team: str = "") -> Planted:
        """Return where a contradiction must be told."""
        return Planted(kind=kind, code=code, file=f"{self.root.name}/{team or self.team}/{file}")

    def edit(self, file: str, old: str, new: str, *, after: str = "") -> str:
        """Write something else in a file, behind a text where one is named."""
        path = self.root / self.team / file
        text = path.read_text()
        start = text.index(after) if after else 0
        assert old in text[start:], (path, old)
        path.write_text(text[:start] + text[start:].replace(old, new, 1))
        return file

    def add(self, file: str, more: str) -> str:
        """Write at the end of a file."""
        path = self.root / self.team / file
        path.write_text(path.read_text() + more)
        return file

    def same_name(self) -> str:
        """Call a view as another team calls one of its own."""
        return self.edit("e00.py", f'name="{self.team}_e00_2"', f'name="{self.other}_e00_3"')

    def same_meaning(self) -> str:
        """Compute what another team computes, under a name of one's own."""
        theirs = (self.root / self.other / "e01.py").read_text().split(f'"{self.other}_e01_2"')[1]
        window = re.search(r"time_window=timedelta\(minutes=(\d+)\)", theirs)
        assert window
        twin = view(self.other, "e01", 2, minutes=int(window[1]), source="theirs", name=f"{self.team}_twin")
        mine = twin.replace(f'"team": "{self.other}"', f'"team": "{self.team}"')
        return self.add("e01.py", f"\nfrom {self.other}.sources import readings as theirs\n{mine}")

    def units(self) -> str:
        """Read the team's own channel in another unit."""
        channel, unit = TEAMS[self.team].split(",")[0].split()
        said = f"{channel} [{'mg' if unit == '[g]' else 'kW'}]"
        rows = f'FileSource(name="{self.team}_raw", path="offline/{self.team}", timestamp_field="event_time")'
        tags = f'{{"lineshaft.channels": "{said}"}}'
        source = f'PushSource(name="{self.team}_again", batch_source=raw, tags={tags})'
        return self.add("e02.py", f"\nraw = {rows}\nagain = {source}\n")

    def taken_over(self) -> str:
        """Say that a view is another team's."""
        after = f'name="{self.team}_e03_2"'
        return self.edit("e03.py", f'"team": "{self.team}"', f'"team": "{self.other}"', after=after)

    def key(self) -> str:
        """Give a key that everybody uses another type."""
        words = f'name="{self.team}_machine", join_keys=["asset_id"], value_type=ValueType.INT64, owner="x"'
        return self.add("e04.py", f"\nnumbered = Entity({words})\n")

    def live(self) -> str:
        """Change what a live model reads."""
        change(self.root, self.team, "e05", 1)
        return "e05.py"

    def removed(self) -> str:
        """Take away a view that a service reads by name."""
        self.edit("e06.py", f'name="{self.team}_e06_0"', f'name="{self.team}_e06_renamed"')
        return "services.py"

    def stranger(self) -> str:
        """Declare a view of a team that nobody knows."""
        made = view(self.team, "e07", 4, minutes=5000, name=f"{self.team}_stranger")
        return self.add("e07.py", made.replace(f'"team": "{self.team}"', f'"team": "{self.team}s"'))

    def window(self) -> str:
        """Ask for a window of one slide and a half."""
        text = (self.root / self.team / "e08.py").read_text()
        after = f'name="{self.team}_e08_3"'
        old = re.search(r"timedelta\(minutes=\d+\),\n", text[text.index("time_window", text.index(after)) :])
        assert old
        return self.edit("e08.py", old[0], "timedelta(seconds=90),\n", after=after)

    def unlike(self) -> str:
        """Subtract one quantity from another."""
        team, columns = self.team, [part.split()[0] for part in TEAMS[self.team].split(",")]
        read = f"{team}_e09_1__{columns[2]}_mean,{team}_e09_0__{columns[0]}_mean"
        made = f'Aggregation(column="{read}", function="difference", name="gap")'
        return self.add(
            "e09.py",
            f'\n{team}_gap = OnDemandFeatureView(\n    name="{team}_gap", sources=[{team}_e09_0, {team}_e09_1],\n'
            f'    schema=[Field(name="gap", dtype=Float64)], owner="e09@plant.example", tags={{"team": "{team}"}},\n'
            f"    aggregations=[{made}],\n)\n",
        )
