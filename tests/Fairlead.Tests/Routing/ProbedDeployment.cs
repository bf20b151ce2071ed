using Fairlead.Catalogue;
using Fairlead.Dialects;
using Fairlead.Pipeline;
using Fairlead.Providers;

namespace Fairlead.Tests.Routing;

/// <summary>A catalogue with one deployment, whose path is probed and responds as a test says.</summary>
internal sealed class ProbedDeployment : ICatalogue, ICatalogueSnapshot
{
    public ProbedDeployment(ProbeConfig probe)
    {
        Deployment = RoutingWorld.At("probed") with { Probe = probe, Provider = new PathProvider(this) };
        Models = [new CatalogueModel { Id = "m", OwnedBy = "test", Deployments = [Deployment] }];
    }

    public Deployment Deployment { get; }

    public Func<CancellationToken, Task<PathResponse>> Respond { get; set; } = _ => Task.FromResult(new PathResponse(200));

    public IReadOnlyList<CatalogueModel> Models { get; }

    ICatalogueSnapshot ICatalogue.Current => this;

    public CatalogueModel? Find(string name) => null;

    private sealed class PathProvider(ProbedDeployment owner) : Provider("probed", "test")
    {
        public override bool Speaks(Dialect dialect) => false;

        public override ValueTask<GatewayReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken) =>
            throw new NotSupportedException();

        public override ValueTask<PathResponse> RequestPathAsync(string path, TimeSpan timeout, CancellationToken cancellationToken) =>
            new(owner.Respond(cancellationToken));
    }
}
