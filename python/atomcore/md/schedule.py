"""How long a run is and what is kept of it."""

from dataclasses import dataclass

from atomcore.md.integrators import check_numbers

_SAMPLE = 1.0  # fs between rows of energies


@dataclass(frozen=True)
class Schedule:
    """Numbers of steps: of the run, of the equilibration before, between rows of energies, between frames."""

    steps: int
    equilibration: int
    sample: int
    frame: int

    @classmethod
    def of(cls, dt: float, ps: float, equilibrate: float, frame_interval: float) -> "Schedule":
        """Return the schedule in steps of ``dt`` (fs); raise ValueError for a value out of range, by name."""
        check_numbers(ps=ps, frame_interval=frame_interval)
        check_numbers(least=0.0, equilibrate=equilibrate)
        every = [max(round(fs / dt), 1) for fs in (1000 * ps, _SAMPLE, frame_interval)]
        return cls(every[0], round(1000 * equilibrate / dt), every[1], every[2])
