"""The free-text workload of the shipped logs: notes of a reporter, and the sentence that sums them up.

Written for this project; companies and places are invented.
"""

SYSTEM = "You are the assistant of a trading desk. Sum up the note in one sentence of at most 25 words."

# (fields of the note, frames of the summary)
KINDS = [
    (["revenue <m> m, (up|down) <p> % on the year", "profit before tax <n> m", "outlook (unchanged|raised|lowered)"],
     ["<co> reports revenue of <m> million, <dir> <p> % on the year, and leaves its outlook <out>.",
      "Revenue of <co> went <dir> <p> % to <m> million; the outlook is <out>."]),
    (["dividend <n> cents a share (up|down) from the year before", "payable in <month>", "buyback of <m> m"],
     ["<co> pays a dividend of <n> cents in <month> and buys back shares for <m> million.",
      "A dividend of <n> cents and a buyback of <m> million are due at <co> in <month>."]),
    (["court in <place> rules against the company", "fine <m> m", "appeal by <month>"],
     ["A court in <place> fines <co> <m> million; it can appeal until <month>.",
      "<co> has to pay a fine of <m> million in <place>, and may appeal by <month>."]),
    (["new plant in <place>", "investment <m> m", "<n> jobs", "opens in <month>"],
     ["<co> puts <m> million into a plant in <place> that opens in <month> with <n> jobs.",
      "With <m> million <co> builds a plant in <place>; it creates <n> jobs from <month>."]),
    (["chief executive leaves in <month>", "after <n> years", "board looks for a successor outside"],
     ["The chief executive of <co> leaves in <month> after <n> years, and the board looks outside for a successor.",
      "After <n> years the head of <co> goes in <month>; a successor is sought outside."]),
]

PLACES = ["Tarvesh", "Norrholm", "Port Amel", "Quellin", "Sarnova"]
MONTHS = ["March", "April", "May", "June", "September", "October"]


def note(draw, expand, companies):
    """Returns the text of a note and its summary."""
    fields, summaries = draw.pick(KINDS)
    up = draw.chance(0.6)
    values = {
        "co": draw.pick(companies), "m": str(draw.between(3, 940)), "n": str(draw.between(2, 90)), "p": str(draw.between(1, 30)),
        "place": draw.pick(PLACES), "month": draw.pick(MONTHS), "dir": "up" if up else "down", "out": draw.pick(["unchanged", "raised", "lowered"]),
    }
    shown = [field.replace("(up|down)", values["dir"]).replace("(unchanged|raised|lowered)", values["out"]) for field in fields]
    lines = ["Note on <co>"] + ["* " + field for field in draw.shuffled(shown)]
    summary = draw.pick(summaries).replace("leaves its outlook unchanged", "keeps its outlook")
    return expand(draw, "\n".join(lines), values.get), expand(draw, summary, values.get)
