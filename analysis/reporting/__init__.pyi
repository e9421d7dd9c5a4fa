from .report import Report, report_html, write_report

__all__ = [
    "Report",
    "report_html",
    "write_report",
]
