"""The methods that make a vector of pairs alone, and their settings. Imports nothing heavy: the command names them too."""

from __future__ import annotations

from typing import Any, Literal

MethodName = Literal["caa", "sas", "sas_output", "corrsteer", "pca", "lat", "probe", "bipo", "yapo", "dpo", "reps", "sft"]
# Settings of the methods, as conf/method has them; but pairs have no form that names a country, so answers are contrasted.
OPTIONS: dict[MethodName, dict[str, Any]] = {
    "caa": {"contrast": "answer"},
    "sas": {"contrast": "answer", "tau": 0.7, "threshold": "relu"},
    "sas_output": {
        "contrast": "answer",
        "tau": 0.7,
        "threshold": "relu",
        "min_score": 0.01,
        "tokens": 20,
        "strength": 10.0,
        "neutral": "From my experience,",
    },
    "corrsteer": {"features": 8, "pool": "max", "threshold": "relu"},
    "pca": {"contrast": "answer", "center": "pairs"},
    "lat": {"contrast": "answer"},
    "probe": {"contrast": "answer", "decay": 0.01},
    "bipo": {"init": "zero"},
    "yapo": {"threshold": "relu", "features": "fires", "init": "zero"},
    "dpo": {"init": "zero"},
    "reps": {"multipliers": [0.5, 1.0, 1.5, 2.0], "init": "zero"},
    "sft": {"init": "zero"},
}
