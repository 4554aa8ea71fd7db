"""A fleet of machines made of physics and dice: run to failure, seeded, the same whatever its size.

Signals: shaft harmonics, impacts at bearing defect frequencies with slip, each ringing a structural resonance down
(McFadden and Smith 1984, J. Sound Vib. 96(1), 69-82; Randall and Antoni 2011, MSSP 25(2), 485-520), load and speed
cycles, a thermal body of first order. Machines, lives, duty, vibration, process, faults: a module each.
"""

from lineshaft.sources.simulator.fleet import Fleet
from lineshaft.sources.simulator.plans import ProcessPlan, VibrationPlan

__all__ = ["Fleet", "ProcessPlan", "VibrationPlan"]
