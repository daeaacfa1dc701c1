"""The pages of a team's people and credits, below its own address."""

from django.urls import path

from accounts.views import credits, inviting, keys, limits, members, team

urlpatterns = [
    path("keys/", keys.all_keys, name="keys"),
    path("keys/<int:pk>/revoke/", keys.revoke, name="revoke_key"),
    path("keys/<int:pk>/allowance/", keys.allowance, name="key_allowance"),
    path("keys/<int:pk>/allowance/lift/", keys.lift, name="lift_key_allowance"),
    path("credits/", credits.credits, name="credits"),
    path("credits/grant/", credits.grant, name="grant_credits"),
    path("credits/ask/", credits.ask, name="ask_for_credits"),
    path("credits/requests/<int:pk>/", credits.decide, name="decide_request"),
    path("team/", team.team, name="team"),
    path("team/rename/", team.rename, name="rename_team"),
    path("team/leave/", members.leave, name="leave_team"),
    path("team/invite/", inviting.invite, name="invite"),
    path("team/invitations/<int:pk>/revoke/", inviting.revoke, name="revoke_invitation"),
    path("team/<int:pk>/role/", members.change_role, name="change_role"),
    path("team/<int:pk>/remove/", members.remove, name="remove_member"),
    path("team/<int:pk>/hand-over/", members.transfer_ownership, name="transfer_ownership"),
    path("team/<int:pk>/allowance/", limits.allowance, name="allowance"),
    path("team/<int:pk>/allowance/lift/", limits.lift, name="lift_allowance"),
]
