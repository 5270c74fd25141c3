"""A KPI result in plain words: how its figure came about, and what would change it."""

from __future__ import annotations

from gateway.kpi.catalogue import KpiDefinition
from gateway.records import KpiResult

MIN_COMPLETENESS = 90.0


def model_in_words(result: KpiResult) -> str:
    """What the model says, with its coefficients; '' for a figure that needs none."""
    numbers = {key: value for key, value in result.details.items() if isinstance(value, float)}

    def number(key: str) -> str:
        return f"{numbers[key]:.4g}" if key in numbers else "?"

    if result.model_id.startswith("caltrack-daily"):
        parts = [f"{number('mu')} kWh a day"]
        if numbers.get("beta_h"):
            parts.append(f"{number('beta_h')} kWh for each degree below {number('balance_h')} degC")
        if numbers.get("beta_c"):
            parts.append(f"{number('beta_c')} kWh for each degree above {number('balance_c')} degC")
        return f"The building uses {', plus '.join(parts)} of the day's mean outdoor temperature."
    if result.kpi == "peak_load_reduction" and result.model_id:
        return (
            f"The week's peak without the works is {number('kappa')} times the highest hour that hour of the"
            f" week and temperature predict: {number('counterfactual_kw')} kW. Without any change the same"
            f" ratio went from {number('placebo_low')} to {number('placebo_high')}"
            f" in {number('placebo_weeks')} baseline weeks."
        )
    if result.model_id.startswith("towt"):
        return (
            "Each hour of the week has its own load, moved by the outdoor temperature along a broken line,"
            " occupied and unoccupied hours apart, for each calendar month; public holidays count as Sundays."
        )
    if result.kpi == "water_conservation" and result.model_id:
        slope = f" plus {number('b')} m3 for each person present on average" if numbers.get("b") else ""
        return f"The building uses {number('a')} m3 a day{slope}."
    return ""


def what_would_change_it(result: KpiResult, definition: KpiDefinition) -> list[str]:
    """Sentences, the most pressing first."""
    said = []
    if result.reason:
        said.append(f"There is no figure or no verdict because: {result.reason}.")
    if result.value is None:
        said.append(f"There is none when: {definition.undefined}")
    elif result.completeness < MIN_COMPLETENESS:
        said.append(f"Only {result.completeness:.1f} % of the data is there; late data will move the figure.")
    if result.partial:
        said.append("The period still runs: the figure moves until it ends.")
    if result.lower is not None and result.upper is not None and result.value is not None:
        half = (result.upper - result.lower) / 2
        said.append(
            f"Its 90 % band reaches {half:.3g} {result.unit} to each side: a smaller change cannot be told."
        )
    if result.target is not None and result.value is not None:
        said.append(_distance(result.value, result.target, result.unit, definition.lower_is_better))
    if definition.risks:
        said.append(definition.risks)
    return [*said, *(f"{action.rstrip('.')}." for action in definition.actions)]


def _distance(value: float, target: float, unit: str, lower_is_better: bool) -> str:
    missing = value - target if lower_is_better else target - value
    if missing <= 0:
        return f"The target of {target:g} {unit} is met, with {-missing:.3g} {unit} to spare."
    return f"The target of {target:g} {unit} is {missing:.3g} {unit} away."
