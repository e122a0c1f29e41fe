"""How pictures look."""

from typing import Any

STYLE: dict[str, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#999999",
    "axes.grid": True,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "axes.titlepad": 10,
    "font.size": 10.5,
    "grid.color": "#E6E6E6",
    "legend.edgecolor": "white",
    "legend.framealpha": 0.85,
    "lines.linewidth": 1.8,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Those of Okabe and Ito but for yellow, which colour-blind readers tell apart too: blue and vermilion come first."""
