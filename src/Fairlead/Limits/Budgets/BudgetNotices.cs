using System.Diagnostics.CodeAnalysis;

namespace Fairlead.Limits.Budgets;

/// <summary>
/// Notices of the database about budgets. The subject is the process that sends the notice, and the budget.
/// </summary>
internal static class BudgetNotices
{
    /// <summary>Asks other nodes to return what they do not use of a budget.</summary>
    public const string Ask = "budget_ask";

    /// <summary>The response: what was not used is returned.</summary>
    public const string Returned = "budget_returned";

    public static string Write(BudgetHolder sender, BudgetKey key) => $"{sender} {key.ToText()}";

    public static bool TryRead(string? subject, [NotNullWhen(true)] out string? sender, [NotNullWhen(true)] out BudgetKey? key)
    {
        sender = null;
        key = null;
        var at = subject?.LastIndexOf(' ') ?? -1;
        if (at < 0 || !BudgetKeys.TryParse(subject.AsSpan(at + 1), out key)) return false;
        sender = subject![..at];
        return true;
    }
}
