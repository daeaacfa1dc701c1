"""The rows: people and teams, their keys and limits, the books, requests for credits, and the audit log."""

from accounts.models.adjustments import Adjustment
from accounts.models.api_keys import ApiKey, Scope
from accounts.models.audit import AuditEntry
from accounts.models.credit_requests import CreditRequest
from accounts.models.ledger import LedgerAccount, Transfer
from accounts.models.limits import Allowance, AllowanceUse, CacheEntry, RateLimit
from accounts.models.people import Invitation, Membership, Role, Team, User, UserManager, normalize_address

__all__ = [
    "Adjustment",
    "Allowance",
    "AllowanceUse",
    "ApiKey",
    "AuditEntry",
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
