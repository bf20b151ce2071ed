using Fairlead.Access;
using Fairlead.Auditing.Administration;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Spooling;
using Fairlead.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Fairlead.Auditing.Chain;

internal static class ChainServiceCollectionExtensions
{
    /// <summary>The chain of audit records: its writer, its key, its heads, and the records of administration.</summary>
    internal static IServiceCollection AddAuditChain(this IServiceCollection services)
    {
        services.AddSingleton(provider =>
        {
            var configuration = provider.GetRequiredService<IConfigurationSource>().Current;
            var folder = Path.GetFullPath(configuration.DataDirectory);
            var signer = AuditSigner.Open(Path.Combine(folder, configuration.Audit.KeyFile ?? AuditSigner.FileName));
            provider.GetRequiredService<ILogger<AuditSigner>>().SignerReady(signer.KeyId);
            return signer;
        });
        services.AddSingleton(provider => new ChainHeads(provider.GetRequiredService<SpoolOptions>().Root));
        services.AddSingleton(provider => new ChainWriter(
            provider.GetRequiredService<AuditSigner>(), provider.GetRequiredService<ChainHeads>(), provider.GetRequiredService<TimeProvider>(),
            provider.GetRequiredService<ILogger<ChainWriter>>()));
        services.AddSingleton<PendingChanges>();
        services.AddSingleton<IAdminAudit, AdminAudit>();
        return services;
    }
}
