using Fairlead.FunctionalTests.Clients;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Webhooks;

/// <summary>What receivers get, verified by the public libraries.</summary>
public sealed class WebhookClientTests
{
    [Fact]
    public async Task WebhookLibraries_SentWebhooks_VerifySignatures()
    {
        await using var gateway = await TestGateway.StartAsync(WebhookTests.Configuration);
        await NodeClientTests.RunAsync(gateway, "webhooks.mjs");
    }
}
