"""An explanation in sentences, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, isfinite

from harken.explain.result import Check, Explanation, Findings, Heat, Joint, Neighbourhood, Numbers, Part, Spot

LEAST = 0.1
"""Change of log-odds that bands through a whole clip must have to be told, and share of the largest."""
FEW, HALF = 0.5, 1.2
"""Between these factors of the change by lot, the map has shown little."""
NEAR = 0.02
"""Classes whose probabilities lie no further apart are hardly told apart."""
MOST_PARTS = 5
"""Groups, numbers, neighbours that are told."""


def clock(seconds: float, tenths: bool = False) -> str:
    """Return seconds as minutes and seconds.

    Examples
    --------
    >>> clock(75.04), clock(75.04, tenths=True)
    ('1:15', '1:15.0')
    """
    if tenths:
        whole = round(seconds * 10)
        return f"{whole // 600}:{whole % 600 // 10:02d}.{whole % 10}"
    return f"{round(seconds) // 60}:{round(seconds) % 60:02d}"


def place(start: float, end: float) -> str:
    """Return a span of time, with tenths where it is shorter than five seconds."""
    tenths = end - start < 5
    return f"{clock(start, tenths)}–{clock(end, tenths)}"


def hertz(low: float, high: float) -> str:
    """Return a span of frequencies, rounded to what an ear could tell.

    Examples
    --------
    >>> hertz(203.0, 789.0), hertz(2070.0, 4012.0), hertz(430.0, 1634.0)
    ('200–790 Hz', '2.1–4 kHz', '430 Hz–1.6 kHz')
    """
    numbers, units = zip(_pitch(low, high), _pitch(high, high), strict=True)
    return (
        f"{numbers[0]}–{numbers[1]} {units[1]}" if units[0] == units[1] else f"{numbers[0]} {units[0]}–{numbers[1]} {units[1]}"
    )


def _pitch(hz: float, beside: float) -> tuple[str, str]:
    if hz >= 1000:
        return f"{hz / 1000:.2g}" if hz < 9950 else f"{hz / 1000:.0f}", "kHz"
    digits = -1 if hz >= 100 else 0
    return f"{round(hz, digits):g}", "kHz" if hz == 0 and beside >= 1000 else "Hz"


def size(factor: float) -> str:
    """Return how many times, from 1 on, in as many digits as mean something.

    Examples
    --------
    >>> size(1.004), size(2.754), size(12345.6), size(5.2e21)
    ('1', '2.75', '12,000', '1,000,000 or more')
    """
    if factor < 999.5:
        return "1" if factor < 1.005 else f"{factor:.3g}"
    return f"{float(f'{factor:.2g}'):,.0f}" if factor < 995_000 else "1,000,000 or more"


def times_as(change: float) -> str:
    """Return what a change of log-odds does to the odds: ``×3.2``, ``÷1.5``."""
    return f"{'×' if change >= 0 else '÷'}{size(exp(min(abs(change), 50.0)))}"


def odds(log_odds: float) -> str:
    """Return log-odds as odds.

    Examples
    --------
    >>> odds(1.013), odds(-1.6), odds(-49.9)
    ('2.75 to 1', '1 to 4.95', '1 to 1,000,000 or more')
    """
    many = size(exp(min(abs(log_odds), 50.0)))
    return f"{many} to 1" if log_odds >= 0 else f"1 to {many}"


def lines(explanation: Explanation, top: int = MOST_PARTS) -> list[str]:
    """Return an explanation as lines of text: the answer first, then why.

    Parameters
    ----------
    explanation : Explanation
    top : int
        Numbers, groups and neighbours that are told of each kind.
    """
    said = [answer(explanation)]
    if explanation.silence:
        said.append(f"  It {explanation.silence}.")
    said += [f"  {close}" for close in [undecided(explanation)] if close]
    label, against = explanation.label, explanation.against
    if explanation.joint is None:
        return said + [f"  {line}" for line in of_findings(explanation.findings, label, against, top)]
    said += [f"  {line}" for line in of_joint(explanation.joint, label, against, explanation.answer)]
    if len(explanation.findings.clips) > 1:
        said.append(f"  {of_clips(explanation.findings, label)}")
    for view in explanation.joint.views:
        if view.findings is not None:
            said.append(f"  {view.view}:")
            said += [f"    {line}" for line in of_findings(view.findings, label, against, top)]
    return said


def undecided(explanation: Explanation) -> str:
    """Say that the classes are hardly told apart here, so that what follows explains next to nothing; else return nothing."""
    shares = explanation.probabilities
    spread = float(shares.max() - shares.min())
    if spread < NEAR:
        return (
            f"All classes are nearly as probable ({shares.min():.3f} to {shares.max():.3f}): this file is not told apart, and "
            "what follows decides by a hair."
        )
    between = abs(explanation.probability(explanation.label) - explanation.probability(explanation.against))
    if between < NEAR:
        return f"{explanation.label} and {explanation.against} are hardly told apart here: what follows decides by a hair."
    return ""


def answer(explanation: Explanation) -> str:
    """Return the answer, and what is explained, as one sentence."""
    label, against = explanation.label, explanation.against
    first = f"{explanation.answer} {explanation.probability(explanation.answer):.3f}"
    if label == explanation.answer:
        return f"{first}; why {label}, and not {against} ({explanation.probability(against):.3f})"
    return f"{first}; what speaks for {label} ({explanation.probability(label):.3f}), and against it, beside {against}"


def of_joint(joint: Joint, label: str, against: str, answer_: str) -> list[str]:
    """Say what each view of a stack brings, and how the joint answer goes with theirs."""
    said = [f"{_agreement(joint, answer_)} The odds of {label} against {against} are {odds(joint.log_odds)}:"]
    for view in joint.views:
        own = f"says {view.label} {view.probability:.3f}" if view.label else "has no answer"
        counts = f"; weight {view.weight:.2f}" if view.label else ""
        said.append(f"  {view.view} {own}: {times_as(view.contribution)}{counts}")
    said.append(f"  before anything is heard: {times_as(joint.offset)}")
    return said


def _agreement(joint: Joint, answer_: str) -> str:
    """Say whether the views call the track the same, and whether that is the joint answer."""
    own = {view.label for view in joint.views if view.label}
    if own == {answer_}:
        return "All views that answer say the same."
    if len(own) == 1:
        return (
            f"All views that answer say {own.pop()}, and yet together they say {answer_}: what is added before anything is "
            "heard, or the mean over the pieces of the track, tips it."
        )
    return "The views disagree." if answer_ in own else f"The views disagree, and none of them says {answer_} by itself."


def of_clips(findings: Findings, label: str) -> str:
    """Say which clip is explained, and how many say so."""
    clip, count = findings.explained, len(findings.clips)
    saying = sum(said.label == label for said in findings.clips)
    most = max(findings.clips, key=lambda said: said.probability)
    why = "says most for it" if most is clip else "is explained"
    return f"{saying} of {count} clips say {label}; {place(clip.start, clip.end)} {why} ({label} {clip.probability:.3f})."


def of_findings(findings: Findings, label: str, against: str, top: int) -> list[str]:
    """Say what one decider's answer rests on."""
    said = [of_clips(findings, label)] if len(findings.clips) > 1 else []
    if findings.heat is not None:
        said += of_heat(findings.heat, findings.explained.probability, label)
    if findings.numbers is not None:
        said += of_numbers(findings.numbers, label, against, top)
    if findings.neighbours is not None:
        said += of_neighbours(findings.neighbours, label, against, top)
    return said or [f"Nothing is known of why a recipe of the kind {findings.kind!r} decides."]


def of_heat(heat: Heat, probability: float, label: str) -> list[str]:
    """Say which parts of a clip spoke for a class, and against it."""
    said = []
    for spot in heat.spots:
        verb = "spoke for" if spot.change > 0 else "spoke against"
        said.append(
            f"{where(heat, spot)} {verb} {label}: without it {label} {'falls' if spot.change > 0 else 'rises'} from "
            f"{probability:.3f} to {spot.probability:.3f} (odds {times_as(-spot.change)})"
        )
    if not heat.spots:
        said.append(f"No single part of the clip matters to {label}: it can lose any of them")
    whole = of_bands(heat.whole or heat.bands, label)
    if whole:
        said.append(f"{'In the whole track' if heat.whole else 'Through the whole clip'}: {whole}")
    said.append(of_check(heat.check))
    return said


def where(heat: Heat, spot: Spot) -> str:
    """Return a part of a clip in words: its time, its pitches, or what of both is not everything."""
    low, high = float(heat.hertz[0]), float(heat.hertz[-1])
    when = place(spot.start, spot.end)
    every = spot.low <= low and spot.high >= high
    if spot.start <= heat.times[0] and spot.end >= heat.times[-1]:
        when = "throughout"
    return f"{when}, {'all pitches' if every else hertz(spot.low, spot.high)}"


def of_bands(bands: Sequence[Spot], label: str) -> str:
    """Say which bands of pitch, hidden throughout, count most for a class and against it, where they say something."""
    if not bands:
        return ""
    best, worst = max(bands, key=lambda spot: spot.change), min(bands, key=lambda spot: spot.change)
    least = max(LEAST, LEAST * max(best.change, -worst.change))
    said = [f"{hertz(best.low, best.high)} speaks most for {label}"] if best.change >= least else []
    said += [f"{hertz(worst.low, worst.high)} most against it"] if worst.change <= -least else []
    return ", ".join(said) if best.change >= least else said[0].replace("it", label) if said else ""


def of_check(check: Check) -> str:
    """Say whether the map is right about what counts."""
    sentence = (
        f"Check: hiding the {check.share:.0%} that the map calls most telling changes the odds {times_as(-check.hidden)}, "
        f"as much by lot {times_as(-check.hidden_random)}"
    )
    if check.hidden <= HALF * max(check.hidden_random, 0.0) or check.hidden < LEAST:
        return f"{sentence}: the map says little about this clip"
    return sentence


def of_numbers(numbers: Numbers, label: str, against: str, top: int) -> list[str]:
    """Say which numbers carried a decision."""
    how = "" if numbers.exact else f" (each replaced by the mean of {numbers.mean_of}; these do not add up)"
    said = [f"Odds of {label} against {against}: {odds(numbers.log_odds)}{how}."]
    said += ["  " + of_part(part, label, against) for part in numbers.groups[:top]]
    left = len(numbers.groups) - top
    if left > 0 and numbers.exact:
        rest = sum(part.contribution for part in numbers.groups[top:])
        said.append(f"  {left} further group{'s' if left > 1 else ''} together: {times_as(rest)}")
    if numbers.exact:
        said.append(f"  a track like the mean of {numbers.mean_of}: {times_as(numbers.offset)}")
    return [*said, "The most telling single numbers:", *("  " + of_number(part) for part in numbers.features[:top])]


def of_part(part: Part, label: str, against: str) -> str:
    """Say what a group brings."""
    return f"{part.words}: {times_as(part.contribution)} for {label if part.contribution >= 0 else against}".replace("÷", "×")


def of_number(part: Part) -> str:
    """Say what a single number brings, and where it lies."""
    far = f", {part.standard:+.1f} deviations" if isfinite(part.standard) else ""
    return f"{part.words} [{part.name}]{far}: {times_as(part.contribution)}"


def of_neighbours(found: Neighbourhood, label: str, against: str, top: int) -> list[str]:
    """Say who voted, and what made them near."""
    said = [
        f"{each.label}, at distance {each.distance:.3g} (row {each.place} of the training part): {each.vote:.0%} of the votes"
        for each in found.neighbours[:top]
    ]
    left = found.neighbours[top:]
    if left:
        said.append(f"and {len(left)} more, with {sum(each.vote for each in left):.0%} of the votes")
    said = ["The nearest tracks of the training part (a model keeps no names of them):", *(f"  {each}" for each in said)]
    if found.nearest_other is not None and found.nearer:
        gain = [part for part in found.nearer if part.contribution > 0][:top]
        loss = [part for part in found.nearer if part.contribution < 0][:top]
        if gain:
            said.append(f"What makes it nearer to {label} than to {against}: {', '.join(part.words for part in gain)}")
        if loss:
            said.append(f"What makes it nearer to {against}: {', '.join(part.words for part in loss)}")
    return said
