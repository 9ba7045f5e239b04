"""The names of a storm's figures, as they stand in scenarios and results files."""

from enum import StrEnum


class FigureName(StrEnum):
    """What `figures` computes; its docstrings say how."""

    BG_SHARE_CALM = "bg_share_calm"
    CONNECT_PEAK_RATIO = "connect_peak_ratio"
    BG_SHARE_PEAK = "bg_share_peak"
    FG_SUCCESS = "fg_success"
    FG_P99_S = "fg_p99_s"
    EMERGENCY_DETECTED_AFTER_S = "emergency_detected_after_s"
    RESPONSE_NORMAL_AFTER_S = "response_normal_after_s"
    STAGE_NORMAL_AFTER_S = "stage_normal_after_s"
    MAX_BG_WAIT_S = "max_bg_wait_s"
    MAX_DEFERRALS = "max_deferrals"
    SECOND_PEAK_RATIO = "second_peak_ratio"
    GOODPUT_SHARE = "goodput_share"
