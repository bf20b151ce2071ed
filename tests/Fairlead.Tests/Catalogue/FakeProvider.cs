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

    public override ValueTask<GatewayReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken) =>
        throw new NotSupportedException();
}

/// <summary>The real kinds, except that their providers are fakes.</summary>
internal sealed class FakeProviders
{
    public FakeProviders() => Kinds = new(BuiltInProviderKinds.All.Select(kind => kind with { Create = Create }));

    public ProviderKinds Kinds { get; }

    public int Made { get; private set; }

    private FakeProvider Create(string name, ProviderConfig config, IServiceProvider services)
    {
        Made++;
        return new FakeProvider(name, config.Kind);
    }
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

/// <summary>Sections of a configuration that are dictionaries.</summary>
internal static class GatewayConfigurationExtensions
{
    public static GatewayConfiguration WithProviders(this GatewayConfiguration configuration, IReadOnlyDictionary<string, ProviderConfig> providers) =>
        configuration.With(providers);

    public static GatewayConfiguration WithModels(this GatewayConfiguration configuration, IReadOnlyDictionary<string, ModelConfig> models) =>
        configuration.With(models);
}
