using System.Globalization;
using Fairlead.Configuration;

namespace Fairlead.Auditing;

/// <summary>Checks the settings of the audit against each other.</summary>
internal sealed class AuditConfigRules : ConfigRules
{
    public override IEnumerable<ConfigurationError> Check(GatewayConfiguration configuration)
    {
        var audit = configuration.Audit;
        if (audit is { ContentRetention: { } content, Retention: { } retention } && content > retention)
        {
            yield return new("fairlead.audit.contentRetention", content.TotalDays.ToString(CultureInfo.InvariantCulture) + "d",
                "Content cannot be stored longer than its record.", "Write at most the time of audit.retention, or leave it out.");
        }
    }
}
