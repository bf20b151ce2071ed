using Fairlead.Access;
using Fairlead.Erasure;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Security;
using Fairlead.Storage;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;

namespace Fairlead.Webhooks;

internal static class WebhooksServiceCollectionExtensions
{
    /// <summary>Webhooks: the outbox for other slices, the worker that sends, and the endpoints.</summary>
    internal static IServiceCollection AddWebhooks(this IServiceCollection services)
    {
        services.AddSingleton<ISchemaStep, WebhookSchema>();
        services.AddSingleton<ISchemaStep, WebhookQueueSchema>();
        services.AddHostedService<KeyExpiryNotices>();
        services.TryAddSingleton<IHostResolver, SystemHostResolver>();
        services.AddSingleton<WebhookRules>();
        services.AddSingleton<IErasable, ErasableWebhookDeliveries>();
        services.AddSingleton<WebhookStore>();
        services.AddSingleton<WebhookDeliveryStore>();
        services.AddSingleton<WebhookOutbox>();
        services.AddSingleton<IWebhookOutbox>(provider => provider.GetRequiredService<WebhookOutbox>());
        services.AddSingleton<WebhookSender>();
        services.AddSingleton<IHostedService, WebhookWorker>();
        services.AddSingleton<ProjectWebhooks>();
        services.AddSingleton<OrganizationWebhooks>();
        services.AddSingleton<IAdminEndpoints>(provider =>
        {
            var (webhooks, deliveries) = EndpointsOf<OrganizationWebhooks>(provider);
            return new OrganizationWebhookEndpoints(webhooks, deliveries);
        });
        return services;
    }

    /// <summary>Webhooks and their deliveries; all of it requires the scope <c>webhooks</c>.</summary>
    internal static void MapWebhooks(this IEndpointRouteBuilder endpoints)
    {
        var routes = new EndpointRoutes(endpoints, "/v2/webhooks", new EndpointPolicy(Scopes.Webhooks, ErrorShape.Problem));
        var (webhooks, deliveries) = EndpointsOf<ProjectWebhooks>(endpoints.ServiceProvider);
        routes.Read("", webhooks.ListAsync);
        routes.Post("", webhooks.CreateAsync);
        routes.Read("/per-request", webhooks.OfRequestsAsync);
        routes.Read("/{id}", webhooks.GetAsync);
        routes.Patch("/{id}", webhooks.ChangeAsync);
        routes.Delete("/{id}", webhooks.DeleteAsync);
        routes.Post("/{id}/rotate", webhooks.RotateAsync);
        routes.Post("/{id}/test", webhooks.TestAsync);

        routes.Read("/deliveries", deliveries.ListAsync);
        routes.Read("/deliveries/{id}", deliveries.GetAsync);
        routes.Post("/deliveries/{id}/redeliver", deliveries.RedeliverAsync);
    }

    private static (WebhookEndpoints Webhooks, WebhookDeliveryEndpoints Deliveries) EndpointsOf<TFamily>(IServiceProvider provider)
        where TFamily : WebhookFamily
    {
        var family = provider.GetRequiredService<TFamily>();
        return (ActivatorUtilities.CreateInstance<WebhookEndpoints>(provider, family),
            ActivatorUtilities.CreateInstance<WebhookDeliveryEndpoints>(provider, family));
    }
}
