"""The pages of those who run the site, below ``/staff/``."""

from django.urls import path

from jobs.views.review import review, review_several
from jobs.views.staff import purchases, reconciliation, stopping, upstream
from pixian_web.staff import panel, people, settings_page, teams

urlpatterns = [
    path("", panel.staff, name="staff"),
    path("upstream/", upstream.upstream, name="upstream"),
    path("upstream/stop/", stopping.stop_calls, name="stop_calls"),
    path("upstream/start/", stopping.start_calls, name="start_calls"),
    path("teams/", teams.staff_teams, name="staff_teams"),
    path("teams/<int:pk>/quota/", teams.staff_quota, name="staff_quota"),
    path("people/", people.staff_people, name="staff_people"),
    path("people/<int:pk>/delete/", people.staff_delete_person, name="staff_delete_person"),
    path("settings/", settings_page.staff_settings, name="staff_settings"),
    path("reconciliation/", reconciliation.reconciliation, name="reconciliation"),
    path("reconciliation/periods.csv", reconciliation.periods_csv, name="reconciliation_csv"),
    path("reconciliation/balance/", reconciliation.take_balance, name="take_balance"),
    path("reconciliation/purchases/", purchases.purchases_page, name="purchases"),
    path("reconciliation/<int:pk>/", reconciliation.balance_period, name="balance_period"),
    path("reconciliation/<int:pk>/book/", reconciliation.book_balance, name="book_balance"),
    path("reconciliation/<int:pk>/calls.csv", reconciliation.period_calls_csv, name="balance_period_csv"),
    path("review/", review.all_reviews, name="all_reviews"),
    path("review/several/", review_several.decide_all_cases, name="decide_all_cases"),
]
