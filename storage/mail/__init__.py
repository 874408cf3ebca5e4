"""An account's mail: mailboxes, emails, threads, numbers, counts. Start at `records`.

Readers take rows (a View or a Plan), planners a Plan; all are sync and pure. What a change of an
email entails is in `ledger` alone, and `recount` checks all of it against the primary rows.
"""
