using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Dialects;
using Fairlead.Pipeline;
using Fairlead.Providers;

namespace Fairlead.Tests.Catalogue;

/// <summary>A provider that is only there to be found.</summary>
internal sealed class FakeProvider(string name, string kind) : Provider(name, kind)
{
    public override bool Speaks(Dialect dialect) => false;

    public override ValueTask<ProviderReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken) =>
        throw new NotSupportedException();
}

internal sealed class FakeProviderFactory : IProviderFactory
{
    public IReadOnlyList<string> Kinds { get; } = ["openai", "azure", "anthropic", "gemini", "simulated"];

    public int Made { get; private set; }

    public Provider Create(string name, ProviderConfig config)
    {
        Made++;
        return new FakeProvider(name, config.Kind);
    }

    public IEnumerable<CatalogueFault> Check(ProviderConfig config) =>
        config.Kind == "azure" && config.BaseUrl is null ? [new CatalogueFault("baseUrl", null, "Needed.")] : [];
}

internal sealed class FakeModelSource(RegisteredModel model) : IModelSource
{
    public RegisteredModel Model { get; } = model;
}

internal sealed class FakeConfigurationSource(GatewayConfiguration current) : IConfigurationSource
{
    public GatewayConfiguration Current { get; private set; } = current;

    public event Action<GatewayConfiguration>? Changed;

    public void Change(GatewayConfiguration next)
    {
        Current = next;
        Changed?.Invoke(next);
    }
}
