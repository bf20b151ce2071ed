using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Fairlead.Limits.Budgets;

/// <summary>Periods and texts of budgets.</summary>
internal static class BudgetKeys
{
    private static readonly LimitScope[] Scopes = Enum.GetValues<LimitScope>();

    private static readonly LimitName[] Names = [.. Enum.GetValues<LimitName>().Where(name => name.IsBudget())];

    extension(BudgetKey key)
    {
        /// <summary>The first moment after its period.</summary>
        public DateTimeOffset PeriodEnd => key.Name.IsMonthly() ? key.PeriodStart.AddMonths(1) : key.PeriodStart.AddDays(1);

        /// <summary>Whether a time in milliseconds since 1970 is in its period.</summary>
        public bool Contains(long at) =>
            at >= key.PeriodStart.ToUnixTimeMilliseconds() && at < key.PeriodEnd.ToUnixTimeMilliseconds();

        /// <summary>Its key in the database and in notices. ASCII without spaces; different for different budgets.</summary>
        public string ToText() => string.Join(
            '|', key.Scope.ToWire(), Escape(key.OrganizationId), Escape(key.ScopeId), Escape(key.Model), Escape(key.Class),
            key.Name.ToWire(), key.PeriodStart.ToUnixTimeMilliseconds().ToString(CultureInfo.InvariantCulture));
    }

    /// <summary>Reads what <c>ToText</c> wrote.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, [NotNullWhen(true)] out BudgetKey? key)
    {
        key = null;
        var parts = text.ToString().Split('|');
        if (parts.Length != 7) return false;
        var scope = Array.FindIndex(Scopes, one => one.ToWire() == parts[0]);
        var name = Array.FindIndex(Names, one => one.ToWire() == parts[5]);
        if (scope < 0 || name < 0) return false;
        if (!long.TryParse(parts[6], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var start)) return false;
        if (start < DateTimeOffset.MinValue.ToUnixTimeMilliseconds() || start > DateTimeOffset.MaxValue.ToUnixTimeMilliseconds())
            return false;
        key = new BudgetKey(
            Scopes[scope], Uri.UnescapeDataString(parts[1]), Uri.UnescapeDataString(parts[2]), OrNull(parts[3]), OrNull(parts[4]),
            Names[name], DateTimeOffset.FromUnixTimeMilliseconds(start));
        return true;
    }

    private static string Escape(string? text) => text is null ? "" : Uri.EscapeDataString(text);

    private static string? OrNull(string part) => part.Length == 0 ? null : Uri.UnescapeDataString(part);
}
