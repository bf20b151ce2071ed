using System.Buffers;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Limits.Budgets;
using Fairlead.Webhooks;

namespace Fairlead.Limits.Thresholds;

/// <summary>What was used of a budget has crossed a threshold: the event <c>limit.warning</c>.</summary>
/// <param name="Key">The budget.</param>
/// <param name="Limit">Its value in force, more than 0. Tokens or picodollars.</param>
/// <param name="Settled">What calls of the period have used; may be more than the limit.</param>
/// <param name="Threshold">The threshold in percent.</param>
/// <param name="ProjectId">The project of the limit; for a limit of an organization, that of the call that crossed the threshold.</param>
internal sealed record LimitWarning(BudgetKey Key, long Limit, long Settled, int Threshold, string ProjectId)
{
    /// <summary>Thresholds in percent, in ascending order.</summary>
    public static readonly IReadOnlyList<int> Thresholds = [50, 80, 95, 100];

    private bool IsOfOrganization => Key.Scope is LimitScope.Organization or LimitScope.Model;

    /// <summary>Settled in percent of the limit, rounded down to two decimals.</summary>
    private decimal Percent => Money.Trim((decimal)((Int128)Settled * 10_000 / Limit) / 100);

    /// <summary>The thresholds above <paramref name="warned"/> that a budget has reached, in ascending order.</summary>
    public static IEnumerable<int> Reached(long settled, long limit, int warned) =>
        Thresholds.Where(threshold => threshold > warned && (Int128)settled * 100 >= (Int128)limit * threshold);

    /// <summary>The event, for the organization and for the project of the limit, or for all its projects.</summary>
    public WebhookEvent ToEvent(DateTimeOffset at) => new(ProjectId, WebhookEvents.LimitWarning, at, Write())
    {
        OrganizationId = Key.OrganizationId, ForAllProjects = IsOfOrganization,
    };

    private byte[] Write()
    {
        var output = new ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions))
        {
            json.WriteStartObject();
            json.WriteString("id", Key.ScopeId);
            json.WriteString("object", "limit");
            json.WriteString("name", Key.Name.ToWire());
            json.WriteString("scope", Key.Scope.ToWire());
            json.WriteString("organization_id", Key.OrganizationId);
            json.WriteString("project_id", IsOfOrganization ? null : ProjectId);
            json.WriteString("key_id", Key.Scope == LimitScope.Key ? Key.ScopeId : null);
            json.WriteString("model", Key.Model);
            json.WriteString("class", Key.Class);
            json.WriteNumber("threshold_percent", Threshold);
            json.WriteNumber("percent", Percent);
            Amount(json, "limit", Limit);
            Amount(json, "settled", Settled);
            json.WriteString("currency", Key.Name.IsMoney() ? "USD" : null);
            json.WriteTime("period_start", Key.PeriodStart);
            json.WriteTime("period_end", Key.PeriodEnd);
            json.WriteEndObject();
        }
        return output.WrittenSpan.ToArray();
    }

    private void Amount(Utf8JsonWriter json, string name, long amount)
    {
        if (Key.Name.IsMoney()) json.WriteNumber(name, Money.FromPico(amount));
        else json.WriteNumber(name, amount);
    }
}
