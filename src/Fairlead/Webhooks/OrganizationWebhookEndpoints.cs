using Fairlead.Access;
using Fairlead.Http;

namespace Fairlead.Webhooks;

/// <summary><c>/admin/v1/webhooks</c>: the webhooks of organizations and their deliveries.</summary>
internal sealed class OrganizationWebhookEndpoints(WebhookEndpoints webhooks, WebhookDeliveryEndpoints deliveries) : IAdminEndpoints
{
    private const string Path = "/webhooks";
    private const string Deliveries = Path + "/deliveries";

    public void Map(EndpointRoutes read, EndpointRoutes write)
    {
        (read, write) = (read.OfOrganizations, write.OfOrganizations);
        read.Read(Path, webhooks.ListAsync);
        read.Read(Path + "/{id}", webhooks.GetAsync);
        write.Post(Path, webhooks.CreateAsync);
        write.Patch(Path + "/{id}", webhooks.ChangeAsync);
        write.Delete(Path + "/{id}", webhooks.DeleteAsync);
        write.Post(Path + "/{id}/rotate", webhooks.RotateAsync);
        write.Post(Path + "/{id}/test", webhooks.TestAsync);

        read.Read(Deliveries, deliveries.ListAsync);
        read.Read(Deliveries + "/{id}", deliveries.GetAsync);
        write.Post(Deliveries + "/{id}/redeliver", deliveries.RedeliverAsync);
    }
}
