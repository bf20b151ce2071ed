using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Pipeline;
using Fairlead.Tests.Catalogue;

namespace Fairlead.Tests.Limits;

/// <summary>Calls as they reach the stage of limits.</summary>
internal static class LimitCalls
{
    private static readonly Dialect Dialect = OpenAiChatDialect.Create();

    public static Caller CallerOf(LimitSet? organization = null, LimitSet? project = null, LimitSet? key = null, string keyId = "key_1",
        string organizationId = "org_1") => new()
    {
        OrganizationId = organizationId,
        OrganizationName = "organization",
        ProjectId = "proj_1",
        ProjectName = "project",
        KeyId = keyId,
        KeyName = "key",
        Scopes = [.. Scopes.Default],
        OrganizationLimits = organization ?? LimitSet.None,
        ProjectLimits = project ?? LimitSet.None,
        KeyLimits = key ?? LimitSet.None,
    };

    /// <summary>A token costs a millionth of the price: 1,000,000 picodollars for each dollar.</summary>
    public static CatalogueModel ModelOf(decimal inputPrice = 0, decimal outputPrice = 0, LimitSet? limits = null, long version = 1, string id = "m") => new()
    {
        Id = id,
        OwnedBy = "test",
        MaxOutputTokens = 1000,
        Limits = limits ?? LimitSet.None,
        Version = version,
        Deployments =
        [
            new Deployment
            {
                Name = "p/up", ProviderName = "p", UpstreamModel = "up", Prices = new ModelPrices(inputPrice, outputPrice), Provider = new FakeProvider("p", "openai"),
            },
        ],
    };

    public static GatewayCall Of(TimeProvider time, Caller caller, CatalogueModel model, long input = 10, int? max = 10, string @class = CallClasses.Standard,
        decimal? budget = null) =>
        new("req_1", "gen_01KAR1X2Y3Z4A5B6C7D8E9F0GH", Dialect, caller, time)
        {
            Model = model,
            MaxInputTokens = input,
            InputEstimate = new TokenEstimate(input, Basis.Measured),
            Facts = new RequestFacts { Model = model.Id, MaxOutputTokens = max, Extension = new CallExtension { BudgetUsd = budget } },
            Class = @class,
        };
}
