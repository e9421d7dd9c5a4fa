from .report import Report, plan_title, report_html, write_report

__all__ = [
    "Report",
    "plan_title",
    "report_html",
    "write_report",
]
