using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.FunctionalTests.Common;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.FunctionalTests.Limits;

/// <summary>
/// A gateway whose callers have fixed limits: 57 of 60 requests, 1,000 of 8,000 output tokens, and 87.75 of 100 dollars at the model
/// <c>sim-fast</c>. The model <c>full</c> is refused by the limit of requests, the model <c>bad</c> has a bug.
/// </summary>
public sealed class LimitedGateway : IAsyncLifetime
{
    private static readonly DateTimeOffset Reset = new(2098, 12, 31, 23, 0, 0, TimeSpan.Zero);

    private const long Dollar = 1_000_000_000_000;

    public TestGateway Gateway { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Gateway = await TestGateway.StartAsync(
        """
        fairlead:
          models:
            full: { contextWindow: 8000, deployments: [{ provider: simulated, model: sim-fast }] }
        """,
        (builder, _) =>
        {
            builder.Services.AddSingleton<ILimitReader, FixedReader>();
            builder.Services.AddSingleton<IModelSource, BadModel>();
            builder.Services.AddSingleton<ITokenLedger>(services => new RefusingLedger(services.GetRequiredService<InMemoryTokenLedger>(), Refusal,
                call => [.. Of(call.Caller).Where(state => (state.Model is null || state.Model == call.Model.Id) && state.Class is null)]));
        });

    public ValueTask DisposeAsync() => Gateway.DisposeAsync();

    private static GatewayError? Refusal(GatewayCall call)
    {
        call.Warn("limit_near", "80 % of the limit are used or reserved.");
        if (call.Model.Id != "full") return null;
        return LimitErrors.Refusal(Requests(call.Caller) with { Remaining = 0 }, 1, TimeSpan.FromSeconds(1.5));
    }

    private static LimitState Requests(Caller caller) => new(LimitName.RequestsPerMinute, LimitScope.Key, caller.KeyId, null, null, 60, 2, 1, 57, 60, Reset);

    private static LimitState[] Of(Caller caller) =>
    [
        Requests(caller),
        new(LimitName.OutputTokensPerMinute, LimitScope.Project, caller.ProjectId, null, null, 8_000, 7_000, 0, 1_000, 60, Reset),
        new(LimitName.UsdPerMonth, LimitScope.Model, caller.OrganizationId, "sim-fast", null, 100 * Dollar, 12 * Dollar, Dollar / 4, (87 * Dollar) + (Dollar * 3 / 4), null, Reset),
        new(LimitName.InputTokensPerRequest, LimitScope.Key, caller.KeyId, null, "bulk", 4_000, 0, 0, 4_000, null, null),
    ];

    private sealed class FixedReader : ILimitReader
    {
        public IReadOnlyList<LimitState> OfCaller(Caller caller) => Of(caller);

        public Task<IReadOnlyList<LimitState>> OfCallerAsync(Caller caller, CancellationToken cancellationToken) =>
            Task.FromResult<IReadOnlyList<LimitState>>(Of(caller));

        public Task<IReadOnlyList<LimitState>?> OfAsync(LimitFilter filter, CancellationToken cancellationToken)
        {
            var id = filter.KeyId ?? filter.ProjectId ?? filter.OrganizationId ?? "any";
            var caller = new Caller { OrganizationId = id, OrganizationName = "", ProjectId = id, ProjectName = "", KeyId = id, KeyName = "", Scopes = [] };
            var scope = filter switch { { KeyId: not null } => LimitScope.Key, { ProjectId: not null } => LimitScope.Project, _ => LimitScope.Model };
            return Task.FromResult<IReadOnlyList<LimitState>?>([.. Of(caller).Where(state => state.Scope == scope && (filter.Model is null || state.Model == filter.Model))]);
        }
    }

    private sealed class BadModel : IModelSource
    {
        public RegisteredModel Model { get; } = new("bad", new ModelConfig { Kind = "chat" }, new BadProvider());
    }

    private sealed class BadProvider() : Provider("bad", "bad")
    {
        public override bool Speaks(Dialect dialect) => dialect.Operation == Operation.CountTokens;

        public override ValueTask<GatewayReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken) =>
            throw new InvalidOperationException("A bug.");
    }
}
