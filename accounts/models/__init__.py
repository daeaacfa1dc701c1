"""The rows: people and teams, their keys and limits, and the books."""

from accounts.models.api_keys import ApiKey, Scope
from accounts.models.ledger import LedgerAccount, Transfer
from accounts.models.limits import Allowance, AllowanceUse, CacheEntry, RateLimit
from accounts.models.people import Invitation, Membership, Role, Team, User, UserManager, normalize_address

__all__ = [
    "Allowance",
    "AllowanceUse",
    "ApiKey",
    "CacheEntry",
    "Invitation",
    "LedgerAccount",
    "Membership",
    "RateLimit",
    "Role",
    "Scope",
    "Team",
    "Transfer",
    "User",
    "UserManager",
    "normalize_address",
]
