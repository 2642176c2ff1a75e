"""Draws correlations of scores as SVG: one panel per kind of images, one row per score, one mark with interval per network."""

# Okabe and Ito's colours, in a lighter tone for a dark background. Each mark also has its own shape, so that colour is not needed.
COLOURS = [("#0072b2", "#5ab4f0"), ("#d55e00", "#ff8c42"), ("#009e73", "#2fd3a0")]
LEFT, TOP, PANEL, GAP, ROW = 108, 56, 250, 34, 44


def svg(points: list[tuple], kinds: list[str], scores: list[str], methods: list[str]) -> str:
    """Returns the picture. Each of `points` has the kind of images, the score, the method, the value and its interval's ends."""
    height = TOP + ROW * len(scores) + 44
    width = LEFT + len(kinds) * (PANEL + GAP)
    style = "".join(f".m{i}{{fill:{light};stroke:{light}}}" for i, (light, _) in enumerate(COLOURS))
    style += "text{font:12px sans-serif;fill:#1c2127}.grid{stroke:#dde2e7}.zero{stroke:#888888}.ground{fill:#ffffff}"
    style += "@media(prefers-color-scheme:dark){"
    style += "".join(f".m{i}{{fill:{dark};stroke:{dark}}}" for i, (_, dark) in enumerate(COLOURS))
    style += "text{fill:#e7ebef}.grid{stroke:#37404a}.ground{fill:#14181d}}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img">',
        "<title>Spearman's correlation of each score with the exact spectral norms</title>",
        f"<style>{style}</style>",
        f'<rect class="ground" width="{width}" height="{height}"/>',
    ]
    for i, method in enumerate(methods):
        parts += [mark(i, LEFT + 90 * i, 16), text(LEFT + 90 * i + 12, 20, method.upper())]
    for panel, kind in enumerate(kinds):
        origin = LEFT + panel * (PANEL + GAP)
        lowest = next(end for end in (0.0, -0.25, -0.5, -1.0) if min(point[4] for point in points) >= end or end == -1)

        def x(value: float, origin: int = origin, lowest: float = lowest) -> float:
            return origin + PANEL * (value - lowest) / (1 - lowest)

        bottom = TOP + ROW * len(scores)
        parts.append(text(origin, TOP - 12, f"{kind} images"))
        tick = lowest
        while tick <= 1:
            line = "zero" if tick == 0 else "grid"
            parts += [
                f'<line class="{line}" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP}" y2="{bottom}"/>',
                text(x(tick), bottom + 16, f"{tick:g}", "middle"),
            ]
            tick += 0.5 if lowest < -0.5 else 0.25
        parts.append(text(origin + PANEL / 2, bottom + 34, "Spearman's correlation with the exact norm", "middle"))
        for s, score in enumerate(scores):
            middle = TOP + ROW * (s + 0.5)
            if panel == 0:
                parts.append(text(LEFT - 10, middle + 4, score, "end"))
            for m, method in enumerate(methods):
                y = middle + 11 * (m - (len(methods) - 1) / 2)
                for _, _, _, value, low, high in (v for v in points if v[:3] == (kind, score, method)):
                    parts += [
                        f'<line class="m{m}" stroke-width="1.5" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>',
                        mark(m, x(value), y),
                    ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def mark(index: int, x: float, y: float) -> str:
    shapes = [
        f'<circle class="m0" cx="{x:.1f}" cy="{y:.1f}" r="4"/>',
        f'<rect class="m1" x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7"/>',
        f'<path class="m2" d="M{x:.1f} {y - 4.5:.1f}l4.5 4.5l-4.5 4.5l-4.5 -4.5z"/>',
    ]
    return shapes[index]


def text(x: float, y: float, content: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{content}</text>'
