"""The rows: people and teams, their keys and limits, the books, and requests for credits."""

from accounts.models.api_keys import ApiKey, Scope
from accounts.models.credit_requests import CreditRequest
from accounts.models.ledger import LedgerAccount, Transfer
from accounts.models.limits import Allowance, AllowanceUse, CacheEntry, RateLimit
from accounts.models.people import Invitation, Membership, Role, Team, User, UserManager, normalize_address

__all__ = [
    "Allowance",
    "AllowanceUse",
    "ApiKey",
    "CacheEntry",
    "CreditRequest",
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
