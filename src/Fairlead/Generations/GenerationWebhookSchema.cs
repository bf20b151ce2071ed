using Fairlead.Storage;

namespace Fairlead.Generations;

/// <summary>The webhook of a single request, which receives its end.</summary>
internal sealed class GenerationWebhookSchema : ISchemaStep
{
    public int Version => 301;

    public string Name => "webhooks of single requests";

    public string Sql(SqlFlavour sql) => $"ALTER TABLE generations ADD COLUMN webhook_url {sql.Text} NULL";
}
