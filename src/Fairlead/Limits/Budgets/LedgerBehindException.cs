using System.Data.Common;

namespace Fairlead.Limits.Budgets;

/// <summary>The ledger does not have the calls yet that this process has ended, so what a budget has left is not known.</summary>
internal sealed class LedgerBehindException() : DbException("The ledger is not up to date yet, so what the budget has left is not known.");
